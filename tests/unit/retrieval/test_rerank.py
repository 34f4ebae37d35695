import json

import numpy as np
import pytest

from trivet.bench.validate import validate
from trivet.core.errors import ConfigError, TrivetError
from trivet.core.records import Corpus, Ranking
from trivet.retrieval.bm25 import Bm25
from trivet.retrieval.protocol import Adaptable, Retriever
from trivet.retrieval.rerank import Rerank, beneath


class Numbers:
    """Scores a document by a number in its text, or all alike."""

    def __init__(self, alike=False):
        self.alike, self.seen = alike, []

    def score(self, pairs):
        self.seen.append(list(pairs))
        return np.array([0 if self.alike else float(d.split()[-1]) for _, d in pairs], "float32")

    def describe(self):
        return {
            "kind": "numbers",
            "model": "n",
            "model_key": "k",
            "in_domain": ["zoo"],
            "trained_on": None,
            "precision": "fp32",
            "prompts": {},
            "lengths": {"pair": 9},
        }


WORDS = ["fox " * n for n in (9, 8, 7, 6, 5, 4, 3, 2, 1)]  # bm25's order is not that of the ids
IDS = ["e", "b", "h", "a", "i", "c", "g", "d", "f", "none"]
VALUES = [3, 9, 1, 5, 5, 5, 8, 2, 7, 6]
TEXTS = [f"{words}{value}" for words, value in zip([*WORDS, "whale "], VALUES, strict=True)]
CORPUS = Corpus(IDS, [""] * 10, TEXTS)
NUMBER = dict(zip(IDS, VALUES, strict=True))


def indexed(**fields):
    made = Rerank(Bm25(), fields.pop("reranker", None) or Numbers(), **fields)
    made.index(CORPUS)
    return made


def names(ranking, query=0):
    return [document for document, _ in ranking.of(query)]


def first(k=10):
    made = Bm25()
    made.index(CORPUS)
    return names(made.search(["q"], ["fox"], k))


@pytest.mark.parametrize("depth", [1, 4, 8, 9, 100])
@pytest.mark.parametrize("k", [1, 4, 9, 100])
def test_the_best_are_in_the_rerankers_order_and_the_rest_as_they_were(depth, k):
    found = indexed(depth=depth).search(["q"], ["fox"], k)
    before = first()
    head = sorted(((NUMBER[d], d) for d in before[:depth]), reverse=True)
    assert names(found) == ([d for _, d in head] + before[depth:])[:k]
    assert [s for _, s in found.of(0)][:depth] == [float(n) for n, _ in head][:k]
    validate(found, ["q"])


def test_only_the_best_are_scored_again():
    made = indexed(depth=3)
    made.search(["q"], ["fox"], 9)
    assert made.reranker.seen == [[("fox", TEXTS[IDS.index(d)].strip()) for d in first(3)]]


@pytest.mark.parametrize("depth", [4, 100])
def test_equal_scores_are_ordered_by_document_id(depth):
    found = indexed(depth=depth, reranker=Numbers(alike=True)).search(["q"], ["fox"], 9)
    assert names(found) == sorted(first()[:depth], reverse=True) + first()[depth:]
    validate(found, ["q"])


@pytest.mark.parametrize("chunk", [1, 5, 1000])
def test_the_ranking_is_the_same_whatever_the_chunk(chunk):
    texts = ["fox", "whale", "nothing", "fox whale", "6"]
    ids = [f"q{i}" for i in range(5)]
    found = indexed(depth=4, chunk=chunk).search(ids, texts, 10)
    for i, text in enumerate(texts):
        alone = indexed(depth=4).search(["q"], [text], 10)
        assert found.of(i) == alone.of(0)
    assert found.of(2) == []


def test_no_queries_give_an_empty_ranking():
    assert indexed().search([], [], 5).rows.shape[0] == 0


@pytest.mark.parametrize("lowest", [0.0, -7.25, 1e-3, 1e9, -3e12])
def test_what_lies_beneath_falls_strictly(lowest):
    found = beneath(np.float32(lowest), 900)
    assert found.dtype == np.float32
    assert found[0] < np.float32(lowest) and (np.diff(found) < 0).all()


def test_titles_are_read():
    made = Rerank(Bm25(), Numbers())
    made.index(Corpus(["a"], ["fox"], ["hill 3"]))
    made.search(["q"], ["fox"], 1)
    assert made.reranker.seen == [[("fox", "fox hill 3")]]


def test_settings_of_a_task_reach_both_stages():
    class Told(Numbers):
        def adapt(self, lengths, prompts):
            self.told = (lengths, prompts)

    made = Rerank(Bm25(), Told())
    made.adapt({"query": 1}, {})
    assert isinstance(made, Adaptable) and made.reranker.told == ({"query": 1}, {})


def test_it_is_a_retriever_whose_facts_name_both_stages():
    made = indexed(depth=7)
    assert isinstance(made, Retriever)
    facts = json.loads(json.dumps(made.describe()))
    assert (facts["kind"], facts["model"], facts["depth"]) == ("rerank", "bm25 + n", 7)
    assert (facts["in_domain"], facts["trained_on"]) == (["zoo"], None)
    assert facts["lengths"] == {"pair": 9} and facts["parts"]["first"]["k1"] == 0.9


def test_a_first_stage_may_keep_the_documents_in_another_order():
    class Turned(Bm25):
        def search(self, ids, texts, k):
            found = super().search(ids, texts, k)
            rows = np.where(found.rows >= 0, len(IDS) - 1 - found.rows, -1)
            return Ranking(ids, IDS[::-1], rows, found.scores)

    made = Rerank(Turned(), Numbers(), depth=4)
    made.index(CORPUS)
    assert made.search(["q"], ["fox"], 9).of(0) == indexed(depth=4).search(["q"], ["fox"], 9).of(0)


@pytest.mark.parametrize("name", ["depth", "chunk"])
def test_nothing_to_rerank_is_refused(name):
    with pytest.raises(ConfigError, match=name):
        Rerank(Bm25(), Numbers(), **{name: 0})


def test_a_search_before_the_index_is_refused():
    with pytest.raises(TrivetError, match="before index"):
        Rerank(Bm25(), Numbers()).search(["q"], ["fox"], 1)
