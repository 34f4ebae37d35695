"""Distinct documents and how alike two are, against counts by hand."""

import random

import pytest

from trivet.core.places import asset
from trivet.data.sources import Source
from trivet.mining.documents import Documents, containment, name_of, shingles


def test_texts_are_the_same_when_their_words_are():
    assert name_of("A red fox.") == name_of("a  RED fox")
    assert name_of("a red fox") != name_of("a fox red")
    assert name_of("?!") != name_of("…")  # no words: the text itself


def test_documents_are_distinct_and_the_first_of_the_same_is_kept():
    found = Documents(["A red fox.", " ", "owl", "a red fox", "OWL!", "hill"])
    assert found.texts == ["A red fox.", "owl", "hill"]
    assert [found.row(text) for text in ("a RED fox", "Owl", "hill", "road")] == [0, 1, 2, None]
    assert found.corpus().contents() == found.texts


def test_the_order_of_ids_is_that_of_rows():
    ids = Documents(map(str, range(200))).corpus().ids
    assert ids == sorted(ids)


def test_containment_is_the_share_of_the_shorter_ones_runs():
    draw = random.Random(0)
    for _ in range(300):
        one, other = (draw.choices("abc", k=draw.randint(1, 9)) for _ in range(2))
        runs = [
            {tuple(t[i : i + 2]) for i in range(len(t) - 1)} or {tuple(t)} for t in (one, other)
        ]
        expected = sum(run in runs[1] for run in runs[0]) / min(map(len, runs))
        assert containment(" ".join(one), " ".join(other), 2) == pytest.approx(expected)


def test_a_text_within_another_is_contained_and_strangers_share_nothing():
    text = "the quick brown fox jumps over the lazy dog"
    assert containment(text, f"once {text} again and again", 5) == 1.0
    assert containment(text, "quite another text about owls and hills", 5) == 0.0
    assert len(shingles("two words", 5)) == 1


def test_a_beir_folder_gives_its_whole_corpus_and_a_file_its_own_documents(tmp_path):
    source = Source("scifact", beir=str(asset("demo/scifact")), split="train", limit=10)
    assert len(Documents.of(source, source.open(tmp_path))) == 5183
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"q": "a", "d": "one", "n": ["two", "ONE"]}\n{"q": "b", "d": "3", "n": ["4", "5"]}'
    )
    from trivet.data.columns import Columns

    source = Source("own", Columns(query="q", positive="d", negatives=["n"]), path=str(path))
    assert Documents.of(source, source.open(tmp_path)).texts == ["one", "two", "3", "4", "5"]
