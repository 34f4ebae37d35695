import numpy as np
import pytest

from trivet.core.errors import ConfigError, TrivetError
from trivet.core.records import Corpus, Ranking
from trivet.retrieval.bm25 import Bm25
from trivet.retrieval.hybrid import Hybrid
from trivet.retrieval.protocol import Adaptable, Retriever

DOCUMENTS = [f"d{i}" for i in range(40)]
QUERIES = [f"q{i}" for i in range(12)]
SCORES = np.array([[9.0, 8.0, 7.0]], np.float32)


class Canned:
    """A retriever whose results are drawn, or given."""

    def __init__(self, seed, found=None, learned=False):
        self.rng, self.found, self.learned = np.random.default_rng(seed), found, learned
        self.adapted = None

    def adapt(self, lengths, prompts):
        self.adapted = (lengths, prompts)

    def index(self, corpus):
        pass

    def search(self, ids, texts, k):
        if self.found is None:
            rows = np.stack([self.rng.permutation(len(DOCUMENTS)) for _ in ids])[:, :15]
            scores = -np.sort(-self.rng.normal(size=rows.shape).astype(np.float32), axis=1)
            self.found = Ranking(ids, DOCUMENTS, rows.astype(np.int64), scores)
        return self.found

    def describe(self):
        key = "key" if self.learned else None
        lengths = {"query": 8} if self.learned else {}
        return {"kind": "canned", "model": "m", "model_key": key, "precision": "fp32",
                "prompts": {}, "lengths": lengths, "in_domain": ["zoo"] if self.learned else [],
                "trained_on": None if self.learned else []}  # fmt: skip


def hybrid(**fields):
    made = Hybrid({"a": Canned(0), "b": Canned(1, learned=True)}, **fields)
    made.index(Corpus(DOCUMENTS, [""] * 40, [""] * 40))
    return made


def search(made, k=40):
    return made.search(QUERIES, [""] * len(QUERIES), k)


@pytest.mark.parametrize(
    ("method", "norm"), [("rrf", None), ("minmax", "min-max"), ("zscore", "zmuv")]
)
def test_scores_are_those_of_ranx(method, norm):
    ranx = pytest.importorskip("ranx")
    weights = {} if method == "rrf" else {"a": 0.3, "b": 0.7}
    made = hybrid(method=method, weights=weights)
    found = search(made)
    runs = [
        ranx.Run({q: dict(part.found.of(i)) for i, q in enumerate(QUERIES)}, name=name)
        for name, part in made.parts.items()
    ]
    if method == "rrf":
        theirs = ranx.fuse(runs, norm=norm, method="rrf", params={"k": 60})
    else:
        theirs = ranx.fuse(runs, norm=norm, method="wsum", params={"weights": (0.3, 0.7)})
    for i, query in enumerate(QUERIES):
        want = {document: score for document, score in theirs.run[query].items()}
        assert dict(found.of(i)) == pytest.approx(want, abs=1e-5)


def test_the_first_k_are_the_best_k_and_equal_scores_stand_in_trec_eval_s_order():
    one = Ranking(["q"], DOCUMENTS, np.array([[3, 7, -1]]), np.array([[2.0, 1.0, 0.0]], np.float32))
    other = Ranking(
        ["q"], DOCUMENTS, np.array([[7, 3, 9]]), np.array([[9.0, 8.0, 7.0]], np.float32)
    )
    made = Hybrid({"a": Canned(0, one), "b": Canned(0, other)})
    made.index(Corpus(DOCUMENTS, [""] * 40, [""] * 40))
    assert [name for name, _ in made.search(["q"], [""], 40).of(0)] == ["d7", "d3", "d9"]
    assert [name for name, _ in made.search(["q"], [""], 1).of(0)] == ["d7"]


def test_a_part_that_finds_nothing_leaves_the_other_as_it_is():
    nothing = Ranking(["q"], DOCUMENTS, np.full((1, 3), -1), np.zeros((1, 3), np.float32))
    other = Ranking(
        ["q"], DOCUMENTS, np.array([[7, 3, 9]]), np.array([[9.0, 8.0, 7.0]], np.float32)
    )
    for method in ("rrf", "minmax", "zscore"):
        made = Hybrid({"a": Canned(0, nothing), "b": Canned(0, other)}, method=method)
        made.index(Corpus(DOCUMENTS, [""] * 40, [""] * 40))
        assert [name for name, _ in made.search(["q"], [""], 5).of(0)] == ["d7", "d3", "d9"]


def test_a_weight_of_nought_leaves_the_order_to_the_other_part():
    made = hybrid(method="minmax", weights={"a": 0.0})
    found = search(made, 5)
    for i in range(len(QUERIES)):
        alone = [name for name, _ in made.parts["b"].found.of(i)]
        assert [name for name, _ in found.of(i)] == alone[:5]


def test_a_row_tells_all_of_every_part_and_what_is_not_known_stays_so():
    made = hybrid(method="zscore", weights={"b": 2.0})
    assert isinstance(made, Retriever) and isinstance(made, Adaptable)
    facts = made.describe()
    assert facts["weights"] == {"a": 1.0, "b": 2.0} and facts["in_domain"] == ["zoo"]
    assert facts["lengths"] == {"query": 8} and facts["trained_on"] is None
    assert facts["model_key"] is not None and set(facts["parts"]) == {"a", "b"}
    words = Hybrid({"a": Bm25(), "b": Bm25(k1=1.2)}).describe()
    assert words["model_key"] is None and words["trained_on"] == []


def test_a_task_s_lengths_reach_the_parts():
    made = hybrid()
    made.adapt({"query": 3}, {"query": "ask "})
    assert made.parts["a"].adapted == ({"query": 3}, {"query": "ask "})


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"weights": {"c": 1.0}}, "no part c"),
        ({"weights": {"a": -1.0}}, "negative"),
        ({"rrf_k": 0}, "rrf_k"),
        ({"depth": 0}, "depth"),
    ],
)
def test_settings_that_make_no_fusion_are_refused(fields, words):
    with pytest.raises(ConfigError, match=words):
        hybrid(**fields)
    with pytest.raises(ConfigError, match="two"):
        Hybrid({"a": Canned(0)})
    with pytest.raises(TrivetError, match="before index"):
        Hybrid({"a": Canned(0), "b": Canned(1)}).search(["q"], [""], 1)


@pytest.mark.parametrize("method", ["rrf", "minmax", "zscore"])
def test_a_document_with_the_querys_own_id_leaves_no_trace_in_the_fusion(method):
    """Fused with such documents left out is fused without them in the corpus."""
    texts = ["red fox", "fox and whale", "whale", "red red whale fox"]
    whole = Corpus(["q", "a", "b", "c"], [""] * 4, texts)
    less = Corpus(["a", "b", "c"], [""] * 3, texts[1:])
    with_self = Hybrid({"one": Ones([9, 3, 2, 1]), "two": Ones([9, 1, 5, 2])}, method=method)
    without = Hybrid({"one": Ones([3, 2, 1]), "two": Ones([1, 5, 2])}, method=method)
    with_self.leave_out_self(True)
    found = []
    for retriever, corpus in ((with_self, whole), (without, less)):
        retriever.index(corpus)
        found.append(retriever.search(["q"], ["fox"], 3).of(0))
    assert [d for d, _ in found[0]] == [d for d, _ in found[1]]
    assert [s for _, s in found[0]] == pytest.approx([s for _, s in found[1]])


class Ones:
    """Scores as given, whatever is asked."""

    def __init__(self, scores):
        self.scores = np.array(scores, dtype=np.float32)

    def index(self, corpus):
        self.ids = corpus.ids

    def search(self, ids, texts, k):
        best = np.argsort(-self.scores, kind="stable")[:k]
        return Ranking(ids, self.ids, best[None], self.scores[best][None])
