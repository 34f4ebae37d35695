"""An automatic score of a latent: whether its contexts are told from random ones by their words.

Before a person reads a card and finds a name for it, a machine is asked whether there is anything
to name. The contexts of a latent are one random token in each of its sampled documents that holds
it: any strength counts, not only the strongest. Each is paired with a random token that does not
hold the latent, in another document, and that is about as frequent (the same power of two among the
random documents), so that telling rare words from common ones earns nothing. Half of the documents
teach, the other half are told.

What is learned is what a reader of the card would see: of the token itself, and of the tokens
around it, how much oftener they stand in contexts of the latent. A context's value is the sum over
them of ln((p + 1) / (n + 1)), p and n being in how many learned contexts of either kind they stand:
naive Bayes with add-one smoothing. Nothing in it is fitted otherwise, and it sees words alone,
never the vectors that the latent is computed from. The score is the area under the ROC curve of the
told half, .5 where nothing can be told, with a bootstrap interval over contexts.

A latent that follows meaning rather than words scores lower than it deserves: a synonym that was
not learned counts as nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trivet.bench.auc import Area, auc
from trivet.core.seeds import derive
from trivet.report.latent_look import Look
from trivet.report.latent_scan import Scan

_ROUNDS = 500
_POOL = 1 << 14  # random tokens that may be paired with a latent's contexts


@dataclass(frozen=True)
class Window:
    """A token and those around it, each once."""

    token: int
    around: frozenset[int]


def told(scanned: Scan, latent: int, look: Look) -> Area | None:
    """The score of a latent; None where it stands in too few documents."""
    one = scanned.latents[latent]
    count = len(one.chosen) // 2 * 2
    if count < look.least:
        return None
    rows, places = list(one.chosen)[:count], list(one.chosen.values())[:count]
    others = _matched(scanned, latent, rows, places, look)
    held = scanned.reference
    if len(others) < count or len(np.unique(held.rows[others])) < look.least:
        return None  # a few documents would both teach and be told
    own = [_window(scanned, row, at, look.window) for row, at in zip(rows, places, strict=True)]
    random = [_window(scanned, int(held.rows[i]), int(held.places[i]), look.window) for i in others]
    half = count // 2
    values = scores(own[:half], random[:half], [*own[half:], *random[half:]])
    seed = derive(look.seed, "told", latent)
    return auc(values[:half], values[half:], seed=seed, rounds=_ROUNDS)


def scores(
    own: Sequence[Window], random: Sequence[Window], asked: Sequence[Window]
) -> NDArray[np.float64]:
    """How much more like the one than the other each context is."""
    at, at_random = Counter(w.token for w in own), Counter(w.token for w in random)
    near = Counter(token for w in own for token in w.around)
    near_random = Counter(token for w in random for token in w.around)

    def value(one: Window) -> float:
        found = math.log((at[one.token] + 1) / (at_random[one.token] + 1))
        return found + math.fsum(
            math.log((near[token] + 1) / (near_random[token] + 1)) for token in one.around
        )

    return np.array([value(one) for one in asked])


def _window(scanned: Scan, row: int, place: int, width: int) -> Window:
    ids = scanned.ids[row]
    around = [*ids[max(0, place - width) : place], *ids[place + 1 : place + width + 1]]
    return Window(int(ids[place]), frozenset(map(int, around)))


def _matched(
    scanned: Scan, latent: int, rows: list[int], places: list[int], look: Look
) -> list[int]:
    """For each context a random token of like frequency without the latent, none twice.

    Tokens of documents that gave none yet come first; where a frequency has none left, the next
    one is asked.
    """
    held = scanned.reference
    counts = np.bincount(held.ids)
    levels = np.log2(np.maximum(counts, 1)).astype(np.int64)  # of each token id
    generator = np.random.default_rng(derive(look.seed, "random", latent))
    drawn = generator.permutation(len(held.ids))[:_POOL]
    free = drawn[~held.holds(latent, np.array(rows), drawn)]
    pools: dict[int, list[int]] = {}
    by_level = levels[held.ids[free]]
    for level in np.unique(by_level).tolist():
        pool = free[by_level == level]
        times = _nth(held.rows[pool])
        pools[level] = pool[np.argsort(times, kind="stable")][::-1].tolist()  # the last is next
    out: list[int] = []
    for row, place in zip(rows, places, strict=True):
        token = int(scanned.ids[row][place])
        wanted = int(levels[token]) if token < len(levels) else 0
        near = sorted(
            (level for level in pools if pools[level]), key=lambda x: (abs(x - wanted), x)
        )
        if not near:
            break
        out.append(pools[near[0]].pop())
    return out


def _nth(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each entry, how often its document came before."""
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(rows) else rows
    sizes = np.diff(np.r_[starts, len(rows)])
    out = np.empty(len(rows), dtype=np.int64)
    out[order] = np.arange(len(rows)) - np.repeat(starts, sizes)
    return out
