"""The sampled documents read once: where each latent stands, and how alike its contexts are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trivet.core.permutation import permute
from trivet.core.seeds import derive
from trivet.models.latent import Latent
from trivet.report.latent_look import Look, Sample
from trivet.report.latent_reading import Read, readings

_TRIES = 20  # to find two places of a document that do not overlap


@dataclass
class Found:
    """A latent in its sampled documents."""

    rows: list[int] = field(default_factory=list[int])  # of every token that holds it
    places: list[int] = field(default_factory=list[int])
    weights: list[float] = field(default_factory=list[float])
    chosen: dict[int, int] = field(default_factory=dict[int, int])  # a random token a document

    likeness: float = float("nan")  # the mean cosine of two of its contexts


@dataclass
class Scan:
    """What was read."""

    ids: dict[int, NDArray[np.int64]]  # of each document its tokens
    latents: dict[int, Found]
    reference: Outside
    same: float  # the mean cosine of two contexts of one document
    other: float  # and of two contexts of two documents


@dataclass(frozen=True)
class Outside:
    """The tokens of the random documents, end to end, and which latents they hold."""

    rows: NDArray[np.int64]  # (T,)
    places: NDArray[np.int64]  # (T,)
    ids: NDArray[np.int64]  # (T,)
    latents: NDArray[np.int32]  # (T, k), -1 where none is active

    def without(self, latent: int, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The tokens that do not hold a latent and stand in none of these documents."""
        held = (self.latents == latent).any(1) | np.isin(self.rows, rows)
        return np.flatnonzero(~held)


def scan(model: Latent, texts: Sequence[str], drawn: Sample, look: Look) -> Scan:
    """Read all documents of a sample."""
    names = np.array(sorted(drawn.documents), dtype=np.int64)
    keys = [latent * len(texts) + drawn.documents[latent] for latent in names.tolist()]
    wanted = np.unique(np.concatenate([np.empty(0, np.int64), *keys]))
    found = {latent: Found() for latent in names.tolist()}
    sums: NDArray[np.float64] = np.zeros((len(names), model.sae.decoder.shape[1]))
    random = set(drawn.reference.tolist())
    ids: dict[int, NDArray[np.int64]] = {}
    outside: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]] = []
    pairs: list[tuple[NDArray[np.float64], NDArray[np.float64] | None]] = []
    size = len(texts) * model.vocabulary
    for read in readings(model, texts, drawn.rows):
        ids[read.row] = read.ids
        windows = _Windows(read, look.window)
        if read.row in random:
            active = np.where(read.weights > 0, read.latents, np.int32(-1))
            outside.append((np.full(len(read.ids), read.row), read.ids, active))
            pairs.append(_two(windows, look))
        tokens, columns = np.nonzero(read.weights > 0)
        held = read.latents[tokens, columns].astype(np.int64)
        own = held * len(texts) + read.row
        inside = np.isin(own, wanted)
        order = np.argsort(held[inside], kind="stable")  # tokens ascend within a latent
        tokens, columns, own = (part[inside][order] for part in (tokens, columns, own))
        if not len(own):
            continue
        unique, starts, counts = np.unique(own, return_index=True, return_counts=True)
        picks = starts + permute(unique, size, derive(look.seed, "context")) % counts
        numbers = np.searchsorted(names, unique // len(texts))
        sums[numbers] += windows.means(tokens[picks])
        for i, latent in enumerate((unique // len(texts)).tolist()):
            one, part = found[latent], slice(int(starts[i]), int(starts[i] + counts[i]))
            one.rows += [read.row] * int(counts[i])
            one.places += tokens[part].tolist()
            one.weights += read.weights[tokens[part], columns[part]].tolist()
            one.chosen[read.row] = int(tokens[picks[i]])
    for i, latent in enumerate(names.tolist()):
        one = found[latent]
        one.chosen = {r: one.chosen[r] for r in drawn.documents[latent].tolist() if r in one.chosen}
        one.likeness = _mean_cosine(sums[i], len(one.chosen))
    same = [float(a @ b) for a, b in pairs if b is not None]
    apart = np.sum([a for a, _ in pairs], axis=0)
    return Scan(ids, found, _outside(outside), float(np.mean(same)) if same else float("nan"),
                _mean_cosine(apart, len(pairs)))  # fmt: skip


class _Windows:
    """The means of hidden states around tokens, as unit vectors."""

    def __init__(self, read: Read, window: int) -> None:
        """Sums from the start of the text."""
        self.read, self.window = read, window
        zero = np.zeros((1, read.hidden.shape[1]))
        self.sums = np.concatenate([zero, read.hidden.cumsum(0, dtype=np.float64)])

    def means(self, places: NDArray[np.int64]) -> NDArray[np.float64]:
        """A unit vector for each place, (n, D)."""
        first = np.maximum(places - self.window, 0)
        last = np.minimum(places + self.window + 1, len(self.read.ids))
        summed = self.sums[last] - self.sums[first]
        return summed / np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-12)


def _two(windows: _Windows, look: Look) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Contexts at a random place of a document, and at another whose tokens are all others."""
    generator = np.random.default_rng(derive(look.seed, "places", windows.read.row))
    length = len(windows.read.ids)
    for _ in range(_TRIES):
        places = generator.integers(0, length, 2)
        if abs(int(places[0] - places[1])) > 2 * look.window:
            one, other = windows.means(places)
            return one, other
    return windows.means(generator.integers(0, length, 1))[0], None


def _mean_cosine(summed: NDArray[np.float64], count: int) -> float:
    """Of all pairs of `count` unit vectors, from their sum."""
    if count < 2:
        return float("nan")
    return float((summed @ summed - count) / (count * (count - 1)))


def _outside(
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]],
) -> Outside:
    parts.sort(key=lambda part: int(part[0][0]))  # whatever the order of reading
    rows, ids, latents = (np.concatenate(column) for column in zip(*parts, strict=True))
    places = np.concatenate([np.arange(len(part[0])) for part in parts])
    return Outside(rows, places, ids, latents)
