"""The sampled documents read once: where each latent stands, and how alike its tokens are there.

How alike is the mean cosine of two of a latent's tokens in two documents, in the states that the
autoencoder took apart: what a token means where it stands.
"""

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

_WORDS = 2_000  # of which one word's likeness to itself is the mean
Pair = tuple[int, int]  # a document and a place in it


@dataclass
class Found:
    """A latent in its sampled documents."""

    rows: list[int] = field(default_factory=list[int])  # of every token that holds it
    places: list[int] = field(default_factory=list[int])
    weights: list[float] = field(default_factory=list[float])
    chosen: dict[int, int] = field(default_factory=dict[int, int])  # a random token a document

    likeness: float = float("nan")  # the mean cosine of two of these


@dataclass
class Scan:
    """What was read."""

    ids: dict[int, NDArray[np.int64]]  # of each document its tokens
    latents: dict[int, Found]
    reference: Outside
    same: float  # the mean cosine of one word in two documents, of many words
    other: float  # and of any two tokens in two documents


@dataclass(frozen=True)
class Outside:
    """The tokens of the random documents, end to end, and which latents they hold."""

    rows: NDArray[np.int64]  # (T,)
    places: NDArray[np.int64]  # (T,)
    ids: NDArray[np.int64]  # (T,)
    latents: NDArray[np.int32]  # (T, k), -1 where none is active

    def holds(
        self, latent: int, rows: NDArray[np.int64], tokens: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Which of some tokens hold a latent, or stand in one of these documents."""
        return (self.latents[tokens] == latent).any(1) | np.isin(self.rows[tokens], rows)


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
    scale = _Scale(model, texts, drawn.reference, look)
    size = len(texts) * model.vocabulary
    for read in readings(model, texts, drawn.rows):
        ids[read.row] = read.ids
        if read.row in random:
            active = np.where(read.weights > 0, read.latents, np.int32(-1))
            outside.append((np.full(len(read.ids), read.row), read.ids, active))
            scale.add(read)
        tokens, columns = np.nonzero(read.weights > 0)
        held = read.latents[tokens, columns].astype(np.int64)
        own = held * len(texts) + read.row
        inside = _among(own, wanted)
        order = np.argsort(held[inside], kind="stable")  # tokens ascend within a latent
        tokens, columns, own = (part[inside][order] for part in (tokens, columns, own))
        if not len(own):
            continue
        unique, starts, counts = np.unique(own, return_index=True, return_counts=True)
        picks = starts + permute(unique, size, derive(look.seed, "context")) % counts
        numbers = np.searchsorted(names, unique // len(texts))
        sums[numbers] += _units(read.hidden[tokens[picks]])
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
    return Scan(ids, found, _outside(outside), scale.same, scale.other)


def _among(keys: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which keys are among the wanted ones, which ascend: few are asked of many."""
    if not len(wanted):
        return np.zeros(len(keys), dtype=np.bool_)
    return wanted[np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)] == keys


class _Scale:
    """How alike one word is in two documents, and any two tokens; among the random documents."""

    def __init__(
        self, model: Latent, texts: Sequence[str], rows: NDArray[np.int64], look: Look
    ) -> None:
        """Choose the tokens before anything is read, so that the order of reading is nothing."""
        generator = np.random.default_rng(derive(look.seed, "scale"))
        numbers: list[int] = rows.tolist()
        ids = model.tokenizer([texts[row] for row in numbers], "document").ids
        places: dict[int, list[Pair]] = {}
        self.any: dict[int, int] = {}  # of each document a token
        for row, tokens in zip(numbers, ids, strict=True):
            order = generator.permutation(len(tokens))
            self.any[row] = int(order[0])
            first = dict(zip(tokens[order].tolist(), order.tolist(), strict=True))
            for token, place in first.items():
                places.setdefault(token, []).append((row, place))
        twice = sorted(token for token, found in places.items() if len(found) > 1)
        self.chosen: dict[int, list[tuple[int, int]]] = {}  # of each document word and place
        for i in generator.permutation(len(twice))[:_WORDS].tolist():
            found = places[twice[i]]
            for at in generator.permutation(len(found))[:2].tolist():
                row, place = found[at]
                self.chosen.setdefault(row, []).append((twice[i], place))
        self.words: dict[int, list[NDArray[np.float64]]] = {}
        self.others: dict[int, NDArray[np.float64]] = {}

    def add(self, read: Read) -> None:
        """Keep the states of what was chosen."""
        self.others[read.row] = _units(read.hidden[self.any[read.row]][None])[0]
        for word, place in self.chosen.get(read.row, []):
            self.words.setdefault(word, []).append(_units(read.hidden[place][None])[0])

    @property
    def same(self) -> float:
        """The mean cosine of a word in one document and in another."""
        cosines = [float(pair[0] @ pair[1]) for pair in self.words.values()]
        return float(np.mean(cosines)) if cosines else float("nan")

    @property
    def other(self) -> float:
        """The mean cosine of any two tokens in two documents."""
        found = [self.others[row] for row in sorted(self.others)]
        return _mean_cosine(np.sum(found, axis=0), len(found))


def _units(states: NDArray[np.float32]) -> NDArray[np.float64]:
    """States as unit vectors, (n, D)."""
    wide = states.astype(np.float64)
    return wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)


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
