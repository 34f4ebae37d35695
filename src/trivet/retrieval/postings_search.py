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
    add, own = _compiled(), postings.rows.view(np.uint32)  # no sign to look at
    sums = np.zeros((_BLOCK, -(-documents // _BLOCK)), dtype=np.float32)  # a column is a block
    flat = sums.reshape(-1)
    rows = np.full((len(queries), k), -1, dtype=np.int64)
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    for i, (terms, weights) in enumerate(queries):
        add(postings.starts, own, postings.values, terms, weights, flat)
        highest = sums.max(0)
        if np.isnan(highest).any():
            raise TrivetError("a score is not a number", fix="Look at the model's vectors")
        least = np.partition(highest, -k)[-k] if len(highest) > k else 0.0
        blocks = np.nonzero(highest >= least)[0]
        places, near = np.nonzero(sums[:, blocks] >= max(least, _SMALLEST))
        found = places * sums.shape[1] + blocks[near]
        best = flat[found]
        by = np.lexsort((-order[found], -best))[:k]
        rows[i, : len(by)], scores[i, : len(by)] = found[by], best[by]
        sums[:] = 0
    return rows, scores


@cache
def _compiled() -> Any:
    """The loop over postings in machine code; numba is loaded when it is first wanted."""
    import numba

    @numba.njit(nogil=True)
    def add(starts: Any, rows: Any, values: Any, terms: Any, weights: Any, sums: Any) -> None:
        for i in range(len(terms)):
            weight, start, stop = weights[i], starts[terms[i]], starts[terms[i] + 1]
            own, held = rows[start:stop], values[start:stop]
            for at in range(len(own)):
                sums[own[at]] += held[at] * weight

    return add
