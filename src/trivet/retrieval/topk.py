"""Exact top-k in trec_eval's order: score descending, then document id descending.

The order among equal scores decides which of them are inside the first k, so it must be settled
here, not after the cut. The largest scores are found as they are; only queries whose k-th score is
shared with a document outside are repaired.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trivet.core.errors import TrivetError
from trivet.core.records import Ranking
from trivet.core.top import top

Found = tuple[NDArray[np.int64], NDArray[np.float32]]  # (Q, k) rows, (Q, k) scores


def id_order(ids: Sequence[str]) -> NDArray[np.int64]:
    """Each document's place when ids are sorted as strings: the larger wins a tie."""
    order = np.empty(len(ids), dtype=np.int64)
    order[np.array(sorted(range(len(ids)), key=ids.__getitem__), dtype=np.int64)] = np.arange(
        len(ids)
    )
    return order


def topk(scores: Tensor, k: int, order: NDArray[np.int64]) -> Found:
    """The best k columns of each row of (Q, N) scores; rows of the result are in order.

    A score of minus infinity says that the document was not found: its row is -1.
    """
    scores = scores.float().cpu()
    k = min(k, scores.shape[1])
    values, columns = top(scores, min(k + 1, scores.shape[1]))  # the next one tells of ties
    following = values[:, k:]
    values, columns = values[:, :k], columns[:, :k]
    if bool(torch.isnan(values).any()):
        raise TrivetError("a score is not a number", fix="Look at the model's vectors")
    rows, best = columns.numpy().copy(), values.numpy().copy()
    cut = values[:, -1:]
    shared = (following == cut).any(1) & torch.isfinite(cut[:, 0])
    for query in torch.nonzero(shared).flatten().tolist():
        tied = np.nonzero(scores[query].numpy() == best[query, -1])[0]
        places = best[query] == best[query, -1]
        count = int(places.sum())
        rows[query, places] = tied[np.argpartition(-order[tied], count - 1)[:count]]
    rows, best = ranked(rows, best, order[rows])
    return np.where(np.isneginf(best), -1, rows), best


def merge(first: Found, second: Found, k: int, order: NDArray[np.int64]) -> Found:
    """The best k of two results over different documents; as exact as one result over both."""
    rows = np.concatenate([first[0], second[0]], axis=1)
    scores = np.concatenate([first[1], second[1]], axis=1)
    rows, scores = ranked(rows, scores, order[rows])
    return rows[:, :k], scores[:, :k]


def ranked(rows: NDArray[np.int64], scores: NDArray[np.float32], order: NDArray[np.int64]) -> Found:
    """Each row in order; what was not found, minus infinity, comes last."""
    by = np.lexsort((-order, -scores), axis=1)
    return np.take_along_axis(rows, by, axis=1), np.take_along_axis(scores, by, axis=1)


def without_self(ranking: Ranking, k: int) -> Ranking:
    """Drop the document with the query's own id, and keep k of the others."""
    places = {document: row for row, document in enumerate(ranking.documents)}
    rows = np.full((len(ranking.queries), k), -1, dtype=np.int64)
    scores = np.zeros((len(ranking.queries), k), dtype=np.float32)
    for i, query in enumerate(ranking.queries):
        keep = (ranking.rows[i] >= 0) & (ranking.rows[i] != places.get(query, -1))
        count = min(k, int(keep.sum()))
        rows[i, :count] = ranking.rows[i][keep][:count]
        scores[i, :count] = ranking.scores[i][keep][:count]
    return Ranking(ranking.queries, ranking.documents, rows, scores)
