"""Metric values worked out by hand: they change only when a definition does."""

import numpy as np
import pytest

from trivet.bench.metrics import measure
from trivet.core.records import Ranking

# Grades a=3 b=2 c=1 e=0; found, in order: c x a e b. Gains 1 0 3 0 2, best 3 2 1.
QRELS = {"q": {"a": 3, "b": 2, "c": 1, "e": 0}}
FOUND = ["c", "x", "a", "e", "b"]
GOLDEN = {
    "ndcg@1": 1 / 3,
    "ndcg@3": 2.5 / 4.761859507,
    "ndcg@10": 3.273705614 / 4.761859507,
    "recall@2": 1 / 3,
    "recall@10": 1.0,
    "precision@5": 0.6,
    "mrr@10": 1.0,
    "map": (1 / 1 + 2 / 3 + 3 / 5) / 3,
}


@pytest.mark.parametrize("metric, value", GOLDEN.items())
def test_a_metric_is_what_it_was(metric, value):
    rows = np.arange(5)[None]
    ranking = Ranking(["q"], FOUND, rows, np.arange(5, 0, -1, dtype=np.float32)[None])
    assert measure(ranking, QRELS, [metric])[metric][0] == pytest.approx(value, abs=1e-8)
