"""Order and metrics against trec_eval itself, on rankings made to be difficult."""

import numpy as np
import pytest
import pytrec_eval
import torch

from trivet.bench.metrics import measure
from trivet.bench.validate import validate
from trivet.core.errors import TrivetError
from trivet.core.records import Ranking
from trivet.retrieval.topk import id_order, topk

NAMES = {
    "ndcg@10": "ndcg_cut_10",
    "ndcg@100": "ndcg_cut_100",
    "recall@2": "recall_2",
    "recall@100": "recall_100",
    "precision@5": "P_5",
    "accuracy@1": "success_1",
    "accuracy@5": "success_5",
    "map": "map",
    "map@10": "map_cut_10",
}
ASKED = {"ndcg_cut.10,100", "recall.2,100", "P.5", "success.1,5", "map", "map_cut.10", "recip_rank"}
IDS = ["d1", "d10", "d2", "D2", "é", "zebra", "Ünder", "a b", "~", "日本", "0", "00", "d-1", "d_1"]


def collection(seed, *, levels, documents=60, queries=25):
    """Scores with many ties, graded judgements, and ids whose order is not their number's."""
    rng = np.random.default_rng(seed)
    ids = IDS + [f"doc{i}" for i in range(documents - len(IDS))]
    scores = rng.integers(-levels, levels, (queries, documents)).astype(np.float32) / 7
    qrels = {}
    for q in range(queries):
        judged = rng.choice(documents, rng.integers(1, 12), replace=False)
        grades = {ids[j]: int(rng.integers(0, 4)) for j in judged}
        grades[ids[int(judged[0])]] = int(rng.integers(1, 4))
        qrels[f"q{q}"] = grades
    return ids, scores, qrels


def as_trec(ids, scores, qrels):
    run = {
        query: {ids[j]: float(s) for j, s in enumerate(row) if np.isfinite(s)}
        for query, row in zip(qrels, scores, strict=True)
    }
    return pytrec_eval.RelevanceEvaluator(qrels, ASKED).evaluate(run)


def ours(ids, scores, qrels, k):
    rows, best = topk(torch.from_numpy(scores), k, id_order(ids))
    ranking = Ranking(list(qrels), ids, rows, np.where(rows >= 0, best, np.float32(0)))
    validate(ranking, list(qrels))
    return ranking, measure(ranking, qrels, [*NAMES, "mrr"])


def assert_equal(mine, theirs, qrels, names):
    for i, query in enumerate(qrels):
        for name, trec in names.items():
            want = theirs.get(query, {}).get(trec, 0.0)
            assert mine[name][i] == pytest.approx(want, abs=1e-9), (query, name)


@pytest.mark.parametrize("levels", [1, 2, 5, 1000])
@pytest.mark.parametrize("seed", range(5))
def test_order_and_metrics_are_trec_eval_s_however_many_scores_are_equal(seed, levels):
    ids, scores, qrels = collection(seed, levels=levels)
    _, mine = ours(ids, scores, qrels, len(ids))
    assert_equal(mine, as_trec(ids, scores, qrels), qrels, NAMES | {"mrr": "recip_rank"})


@pytest.mark.parametrize("seed", range(5))
def test_the_cut_at_k_changes_no_metric_that_looks_no_deeper(seed):
    ids, scores, qrels = collection(seed, levels=2)
    _, mine = ours(ids, scores, qrels, 10)
    shallow = {name: trec for name, trec in NAMES.items() if trec[-3:] != "100" and name != "map"}
    assert_equal(mine, as_trec(ids, scores, qrels), qrels, shallow)


def test_a_query_that_finds_nothing_is_nought_and_one_that_finds_little_is_no_error():
    ids, scores, qrels = collection(0, levels=3)
    scores[3] = -np.inf
    scores[4, 2:] = -np.inf
    ranking, mine = ours(ids, scores, qrels, 20)
    assert ranking.of(3) == [] and all(values[3] == 0 for values in mine.values())
    assert len(ranking.of(4)) == 2
    full, _ = ours(ids, scores, qrels, len(ids))
    assert_equal(ours(ids, scores, qrels, len(ids))[1], as_trec(ids, scores, qrels), qrels, NAMES)
    assert full.queries == list(qrels)


def test_judgements_below_one_are_not_relevant():
    ids, scores, qrels = collection(1, levels=3)
    for grades in qrels.values():
        grades["doc1"] = -1
        grades["doc2"] = 0
    _, mine = ours(ids, scores, qrels, len(ids))
    assert_equal(mine, as_trec(ids, scores, qrels), qrels, NAMES)


def test_a_document_that_stands_twice_is_refused_before_it_is_counted_twice():
    ids, _, qrels = collection(2, levels=3, queries=1)
    rows = np.array([[0, 1, 0]])
    ranking = Ranking(list(qrels), ids, rows, np.array([[3.0, 2.0, 1.0]], dtype=np.float32))
    with pytest.raises(TrivetError, match="twice"):
        validate(ranking, list(qrels))
