"""The best documents of an inverted index, exactly: every posting of a query is added up.

The loop over postings is compiled by numba. The sums of one query stay in the cache while they are
made and while the best of them are found: the k-th largest of the maxima of blocks is a score that
k documents reach, so only blocks that reach it are looked at twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trivet.core.errors import TrivetError
from trivet.retrieval.postings import Postings
from trivet.retrieval.topk import Found

_BLOCK = 64  # documents of a maximum
_SMALLEST = np.finfo(np.float32).smallest_subnormal  # what is above 0


def best_of_postings(
    postings: Postings,
    queries: Sequence[tuple[NDArray[np.int64], NDArray[np.float32]]],
    documents: int,
    k: int,
    order: NDArray[np.int64],
) -> Found:
    """The best k of so many documents for each query, (terms, weights); as exact as `topk`.

    Sums are in fp32, term by term. Values are above 0, so a sum of 0 says that nothing is shared,
    and the document is not found: its row is -1.
    """
    k = min(k, documents)
    (add, near), own = _compiled(), postings.rows.view(np.uint32)  # no sign to look at
    sums = np.zeros((_BLOCK, -(-documents // _BLOCK)), dtype=np.float32)  # a column is a block
    flat = sums.reshape(-1)
    rows = np.full((len(queries), k), -1, dtype=np.int64)
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    for i, (terms, weights) in enumerate(queries):
        add(postings.starts, own, postings.values, terms, weights, flat)
        highest = sums.max(0)
        if np.isnan(highest.max()):
            raise TrivetError("a score is not a number", fix="Look at the model's vectors")
        least = np.partition(highest, -k)[-k] if len(highest) > k else np.float32(0)
        found = near(sums, highest, max(least, _SMALLEST))
        best = flat[found]
        by = np.lexsort((-order[found], -best))[:k]
        rows[i, : len(by)], scores[i, : len(by)] = found[by], best[by]
        sums[:] = 0
    return rows, scores


@cache
def _compiled() -> tuple[Any, Any]:
    """Both loops in machine code; numba is loaded when it is first wanted."""
    import numba

    @numba.njit(nogil=True)
    def add(starts: Any, rows: Any, values: Any, terms: Any, weights: Any, sums: Any) -> None:
        for i in range(len(terms)):
            w, start, stop = weights[i], starts[terms[i]], starts[terms[i] + 1]
            own, held = rows[start:stop], values[start:stop]
            fours = len(own) // 4 * 4
            for at in range(0, fours, 4):  # no document is in a term twice: four can be under way
                a, b, c, d = own[at], own[at + 1], own[at + 2], own[at + 3]
                first, second = sums[a] + held[at] * w, sums[b] + held[at + 1] * w
                third, fourth = sums[c] + held[at + 2] * w, sums[d] + held[at + 3] * w
                sums[a], sums[b], sums[c], sums[d] = first, second, third, fourth
            for at in range(fours, len(own)):
                sums[own[at]] += held[at] * w

    @numba.njit(nogil=True)
    def near(sums: Any, highest: Any, least: Any) -> Any:
        """The documents that reach `least`, by the blocks whose highest sum does."""
        size, blocks = sums.shape
        found, count = np.empty(size * (highest >= least).sum(), np.int64), 0
        for block in range(blocks):
            if highest[block] >= least:
                for place in range(size):
                    if sums[place, block] >= least:
                        found[count] = place * blocks + block
                        count += 1
        return found[:count]

    return add, near
