import numpy as np
import pytest

from trivet.core.records import Batch, Corpus, Ranking


def test_every_row_of_a_batch_has_a_name_that_leads_back_to_its_source():
    batch = Batch("pairs", [7, 3], ["a", "b"], [["c"], ["d"]], None, {})
    assert batch.ids == ["pairs row 7", "pairs row 3"]


def test_title_and_text_are_joined_without_a_stray_blank():
    corpus = Corpus(["1", "2", "3"], ["T", "", "T"], ["text", "text", ""])
    assert corpus.contents() == ["T text", "text", "T"]
    assert len(corpus) == 3


def test_a_corpus_with_a_title_too_few_is_not_joined():
    with pytest.raises(ValueError):
        Corpus(["1", "2"], ["T"], ["a", "b"]).contents()


def test_a_ranking_names_its_documents_and_leaves_out_the_empty_places():
    rows = np.array([[2, 0, -1], [-1, -1, -1]])
    scores = np.array([[0.9, 0.5, 0.0], [0.0, 0.0, 0.0]], dtype=np.float32)
    ranking = Ranking(["q1", "q2"], ["a", "b", "c"], rows, scores)
    assert ranking.of(0) == [("c", pytest.approx(0.9)), ("a", pytest.approx(0.5))]
    assert ranking.of(1) == []
