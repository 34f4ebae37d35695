import numpy as np
import pytest

from trivet.bench.evaluate import evaluate
from trivet.bench.folder import Folder
from trivet.bench.task import Task
from trivet.core.errors import ConfigError, TrivetError
from trivet.core.records import Corpus, Ranking
from trivet.retrieval.bm25 import Bm25


class Fixed:
    """A retriever with one answer for every query: all documents, in a given order."""

    def __init__(self, rows, scores=None):
        self.rows, self.scores = rows, scores or list(range(len(rows), 0, -1))
        self.asked = 0

    def index(self, corpus):
        self.documents = corpus.ids

    def search(self, ids, texts, k):
        self.asked = k
        rows = np.array([self.rows[:k]] * len(ids))
        return Ranking(ids, self.documents, rows, np.array([self.scores[:k]] * len(ids), "float32"))

    def describe(self):
        return {"kind": "fixed"}


def task_of(drop_self=False):
    corpus = Corpus(["a", "b", "c"], ["", "", ""], ["x", "y", "z"])
    qrels = {"a": {"b": 1}, "q": {"a": 1}}
    return Task("t", "test", corpus, {"a": "x", "q": "y"}, qrels, "f", drop_self)


def test_means_are_plain_numbers_over_all_queries():
    result = evaluate(task_of(), Fixed([0, 1, 2]), k=2, metrics=["mrr@2", "recall@1"])
    assert result.metrics == {"mrr@2": 0.75, "recall@1": 0.5}
    assert {type(value) for value in result.metrics.values()} == {float}
    assert result.per_query["mrr@2"].tolist() == [0.5, 1.0]
    assert set(result.seconds) == {"index", "search", "measure"}
    assert result.retriever == {"kind": "fixed"}


def test_the_queries_own_document_is_dropped_after_one_more_was_asked_for():
    retriever = Fixed([0, 1, 2])
    result = evaluate(task_of(drop_self=True), retriever, k=2, metrics=["recall@1"])
    assert retriever.asked == 3
    found = [[document for document, _ in result.ranking.of(i)] for i in range(2)]
    assert found == [["b", "c"], ["a", "b"]]
    assert result.metrics["recall@1"] == 1.0


def test_a_cut_off_deeper_than_k_is_refused_before_anything_is_searched():
    retriever = Fixed([0, 1, 2])
    with pytest.raises(ConfigError, match="recall@5 needs 5"):
        evaluate(task_of(), retriever, k=2, metrics=["recall@5"])
    assert retriever.asked == 0


def test_a_broken_ranking_is_not_measured():
    with pytest.raises(TrivetError, match="stands twice"):
        evaluate(task_of(), Fixed([0, 0, 1]), k=3, metrics=["map"])
    with pytest.raises(TrivetError, match="not finite"):
        evaluate(task_of(), Fixed([0, 1, 2], [float("nan")] * 3), k=3, metrics=["map"])


def test_a_folder_and_words_end_in_a_number(beir):
    result = evaluate(Folder(str(beir())).load(), Bm25(), k=10, metrics=["ndcg@10", "map"])
    assert result.metrics == {"ndcg@10": 1.0, "map": 1.0}
