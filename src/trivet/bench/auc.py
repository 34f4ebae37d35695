"""How well a score tells one kind of thing from another: the area under the ROC curve.

It is the chance that one of the first kind scores above one of the second, and a tie counts half
(Hanley and McNeil, Radiology 143, 1982). The interval is Efron's percentile bootstrap, in which
both kinds are drawn apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trivet.bench.significance import Values, percentiles
from trivet.core.errors import DataError

ROUNDS = 2_000


@dataclass(frozen=True)
class Area:
    """An area under the curve, and its interval of 95%."""

    value: float  # .5 tells nothing
    low: float
    high: float


def auc(firsts: Values, others: Values, *, seed: int = 0, rounds: int = ROUNDS) -> Area:
    """How often one of `firsts`, (P,), is above one of `others`, (N,)."""
    firsts, others = np.asarray(firsts, np.float64), np.asarray(others, np.float64)
    if not len(firsts) or not len(others):
        raise DataError("an area under the curve needs some of both kinds")
    won = (firsts[:, None] > others) + 0.5 * (firsts[:, None] == others)  # (P, N)
    generator = np.random.default_rng(seed)
    one = _drawn(generator, rounds, len(firsts))
    other = _drawn(generator, rounds, len(others))
    low, high = percentiles(((one @ won) * other).sum(1))
    return Area(float(won.mean()), low, high)


def _drawn(generator: np.random.Generator, rounds: int, size: int) -> NDArray[np.float64]:
    """The share of each of `size` things in `size` draws with replacement, (R, size)."""
    return generator.multinomial(size, np.full(size, 1 / size), rounds) / size
