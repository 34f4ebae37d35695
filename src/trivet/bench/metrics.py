"""Metrics, as trec_eval and ranx define them, in NumPy.

ranx compiles its kernels at the first call, which takes 3 to 28 seconds of silence on a fresh
install; these need no compilation, and the tests hold them against ranx to 1e-9. nDCG is that of
Järvelin and Kekäläinen (2002) with linear gains, as in trec_eval's ndcg_cut.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trivet.core.errors import ConfigError
from trivet.core.records import Ranking

Qrels = dict[str, dict[str, int]]
Values = NDArray[np.float64]
_NAMES = ("ndcg", "recall", "mrr", "map", "precision", "accuracy")


def parse(metric: str) -> tuple[str, int | None]:
    """`ndcg@10` is ("ndcg", 10), `map` is ("map", None)."""
    name, _, cut = metric.partition("@")
    if name not in _NAMES or (cut and not cut.isdigit()) or cut == "0":
        fix = f"There is: {', '.join(_NAMES)}, each with a cut-off as in ndcg@10"
        raise ConfigError(f"no metric {metric}", where="metrics", fix=fix)
    return name, int(cut) if cut else None


def deepest(metrics: list[str]) -> int:
    """The deepest cut-off."""
    return max((parse(metric)[1] or 0 for metric in metrics), default=0)


def check_depth(metrics: list[str], k: int) -> None:
    """Refuse a cut-off that k documents a query cannot fill: recall@100 of 10 is recall@10."""
    for metric in metrics:
        if (parse(metric)[1] or 0) > k:
            what = f"{metric} needs {parse(metric)[1]} documents a query, k is {k}"
            raise ConfigError(what, where="k", fix="Raise k, or leave the metric out")


def measure(ranking: Ranking, qrels: Qrels, metrics: list[str]) -> dict[str, Values]:
    """Each metric for each query, in the ranking's order of queries."""
    out = {metric: np.zeros(len(ranking.queries)) for metric in metrics}
    for i, query in enumerate(ranking.queries):
        grades = qrels[query]
        gains = np.array([grades.get(document, 0) for document, _ in ranking.of(i)], dtype=float)
        gains = np.maximum(gains, 0.0)
        ideal = np.sort(np.maximum(np.array(list(grades.values()), dtype=float), 0.0))[::-1]
        for metric in metrics:
            name, cut = parse(metric)
            out[metric][i] = _FUNCTIONS[name](gains[:cut], ideal, cut)
    return out


def _ndcg(gains: Values, ideal: Values, cut: int | None) -> float:
    best = _dcg(ideal[:cut])
    return _dcg(gains) / best if best > 0 else 0.0


def _dcg(gains: Values) -> float:
    return float((gains / np.log2(np.arange(2, len(gains) + 2))).sum())


def _recall(gains: Values, ideal: Values, cut: int | None) -> float:
    relevant = int((ideal > 0).sum())
    return float((gains > 0).sum()) / relevant if relevant else 0.0


def _precision(gains: Values, ideal: Values, cut: int | None) -> float:
    depth = cut if cut is not None else len(gains)
    return float((gains > 0).sum()) / depth if depth else 0.0


def _accuracy(gains: Values, ideal: Values, cut: int | None) -> float:
    """Whether there is a hit at all: trec_eval's success."""
    return float((gains > 0).any())


def _mrr(gains: Values, ideal: Values, cut: int | None) -> float:
    hits = np.nonzero(gains > 0)[0]
    return 1.0 / (int(hits[0]) + 1) if len(hits) else 0.0


def _map(gains: Values, ideal: Values, cut: int | None) -> float:
    relevant = int((ideal > 0).sum())
    hits = np.nonzero(gains > 0)[0]
    precisions = np.arange(1, len(hits) + 1) / (hits + 1)
    return float(precisions.sum()) / relevant if relevant else 0.0


_FUNCTIONS = {
    "ndcg": _ndcg,
    "recall": _recall,
    "precision": _precision,
    "accuracy": _accuracy,
    "mrr": _mrr,
    "map": _map,
}
