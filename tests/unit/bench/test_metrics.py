import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from trivet.bench.metrics import check_depth, measure, parse
from trivet.core.errors import ConfigError
from trivet.core.records import Ranking

ALL = ["ndcg@1", "ndcg@3", "ndcg@10", "recall@2", "recall@5", "recall@100", "mrr@10", "map"]


def ranking_of(results, documents):
    """A ranking from lists of document ids, best first."""
    k = max([1, *(len(found) for found in results.values())])
    rows = np.full((len(results), k), -1, dtype=np.int64)
    scores = np.zeros((len(results), k), dtype=np.float32)
    for i, found in enumerate(results.values()):
        rows[i, : len(found)] = [documents.index(document) for document in found]
        scores[i, : len(found)] = np.arange(len(found), 0, -1)
    return Ranking(list(results), documents, rows, scores)


def random_case(seed, queries=40, documents=30, found=20):
    rng = np.random.default_rng(seed)
    ids = [f"d{i}" for i in range(documents)]
    results, qrels = {}, {}
    for i in range(queries):
        judged = rng.choice(ids, rng.integers(1, 12), replace=False)
        qrels[f"q{i}"] = {d: int(rng.integers(0, 4)) for d in judged} | {judged[0]: 1}
        results[f"q{i}"] = list(rng.permutation(ids)[: rng.integers(0, found)])
    return ranking_of(results, ids), qrels


RANX = """
import json, sys, types
sys.modules["ir_datasets"] = types.ModuleType("ir_datasets")  # many needs of its own, no use here
from ranx import Qrels, Run, evaluate
qrels, run, metrics = json.load(sys.stdin)
run = Run(run)
values = evaluate(Qrels(qrels), run, metrics, return_mean=False)
print(json.dumps({m: dict(zip(run.keys(), values[m].tolist())) for m in metrics}))
"""


def ranx(qrels, run, metrics):
    """What ranx makes of a run, in a process of its own where nothing is compiled."""
    done = subprocess.run(
        [sys.executable, "-c", RANX],
        input=json.dumps([qrels, run, metrics]),
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_metrics_equal_those_of_ranx_on_graded_judgements():
    ranking, qrels = random_case(0)
    # ranx takes no query without results; what such a one counts is tested below
    full = [i for i in range(len(ranking.queries)) if ranking.of(i)]
    names = [ranking.queries[i] for i in full]
    run = {ranking.queries[i]: dict(ranking.of(i)) for i in full}
    want = ranx({name: qrels[name] for name in names}, run, ALL)
    got = measure(ranking, qrels, ALL)
    assert len(full) > 30
    for metric in ALL:
        theirs = [want[metric][name] for name in names]
        assert np.abs(got[metric][full] - np.array(theirs)).max() < 1e-9, metric


def test_ndcg_is_the_sum_of_discounted_grades_over_the_best_there_could_be():
    ranking = ranking_of({"q": ["b", "x", "a"]}, ["a", "b", "c", "x"])
    got = measure(ranking, {"q": {"a": 3, "b": 1, "c": 2}}, ["ndcg@3", "ndcg@2"])
    assert got["ndcg@3"][0] == pytest.approx((1 + 3 / 2) / (3 + 2 / math.log2(3) + 1 / 2))
    assert got["ndcg@2"][0] == pytest.approx(1 / (3 + 2 / math.log2(3)))


def test_a_query_that_finds_nothing_counts_as_zero():
    got = measure(ranking_of({"q": [], "r": ["a"]}, ["a"]), {"q": {"a": 1}, "r": {"a": 1}}, ALL)
    assert {values.tolist()[0] for values in got.values()} == {0.0}
    assert {values.tolist()[1] for values in got.values()} == {1.0}


def test_a_document_judged_not_relevant_counts_as_one_never_judged():
    documents = ["a", "b", "c"]
    ranking = ranking_of({"q": ["b", "a", "c"]}, documents)
    judged = measure(ranking, {"q": {"a": 1, "b": 0, "c": -1}}, ALL)
    silent = measure(ranking, {"q": {"a": 1}}, ALL)
    assert {k: v.tolist() for k, v in judged.items()} == {k: v.tolist() for k, v in silent.items()}


def test_relevant_documents_that_were_not_found_still_count_in_the_denominator():
    ranking = ranking_of({"q": ["a"]}, ["a", "b", "c", "d"])
    got = measure(ranking, {"q": dict.fromkeys("abcd", 1)}, ["recall@2", "map", "precision@2"])
    assert {name: values[0] for name, values in got.items()} == {
        "recall@2": 0.25,
        "map": 0.25,
        "precision@2": 0.5,
    }


@pytest.mark.parametrize("metric", ["ndgc@10", "ndcg@0", "ndcg@ten", "", "ndcg@-1"])
def test_a_metric_that_there_is_not_is_refused(metric):
    with pytest.raises(ConfigError, match="no metric"):
        parse(metric)


def test_a_cut_off_deeper_than_the_ranking_is_refused():
    check_depth(["recall@100", "map"], 100)
    with pytest.raises(ConfigError, match="recall@100 needs 100"):
        check_depth(["ndcg@10", "recall@100"], 99)


def test_accuracy_is_the_success_of_trec_eval():
    import pytrec_eval

    ranking, qrels = random_case(1)
    cuts = (1, 5, 10)
    run = {query: dict(ranking.of(i)) for i, query in enumerate(ranking.queries) if ranking.of(i)}
    want = pytrec_eval.RelevanceEvaluator(qrels, {"success.1,5,10"}).evaluate(run)
    got = measure(ranking, qrels, [f"accuracy@{cut}" for cut in cuts])
    for i, query in enumerate(ranking.queries):
        for cut in cuts:
            theirs = want[query][f"success_{cut}"] if query in want else 0.0
            assert got[f"accuracy@{cut}"][i] == theirs
    assert 0 < got["accuracy@1"].mean() < got["accuracy@10"].mean() < 1
