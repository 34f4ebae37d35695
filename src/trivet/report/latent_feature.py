"""All that is told of a latent: its card."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trivet.bench.auc import Area
from trivet.models.latent import Latent
from trivet.report.latent_decisive import Decisive
from trivet.report.latent_kind import Kind, Rule, forms, spread
from trivet.report.latent_look import Look
from trivet.report.latent_reading import Place, in_sentence, plain
from trivet.report.latent_scan import Found, Scan
from trivet.report.latent_told import told


@dataclass(frozen=True)
class Context:
    """A latent in a sentence of a document."""

    document: str
    place: Place
    weight: float
    drawn: bool  # by the seed, not for its strength


@dataclass(frozen=True)
class Feature:
    """A latent, as far as the sampled documents show it."""

    latent: int
    frequency: int  # documents that hold it
    documents: int  # all there are
    area: Area | None  # of contexts told from random ones
    tokens: list[tuple[str, float]]  # and their shares of its weight
    forms: float  # on how many tokens its weight lies
    spread: float  # 0: its tokens are as alike as one word; 1: as any two
    kind: Kind
    contexts: list[Context]
    decisive: list[Decisive]
    judged: Kind | None = None  # what a language model says


def feature(
    model: Latent,
    ids: Sequence[str],
    texts: Sequence[str],
    scanned: Scan,
    latent: int,
    frequency: int,
    *,
    look: Look,
    rule: Rule,
    decisive: list[Decisive],
    letters: int,
) -> Feature:
    """A latent's card from what was read."""
    one = scanned.latents[latent]
    weights: dict[int, float] = defaultdict(float)
    for row, place, weight in zip(one.rows, one.places, one.weights, strict=True):
        weights[int(scanned.ids[row][place])] += weight
    told_as: dict[str, float] = defaultdict(float)
    pieces: list[str] = model.tokenizer.inner.convert_ids_to_tokens(list(weights))
    for piece, weight in zip(pieces, weights.values(), strict=True):
        told_as[plain(piece)] += weight
    total = sum(told_as.values())
    count = forms(list(told_as.values())) if total else float("nan")
    wide = spread(one.likeness, scanned.same, scanned.other)
    return Feature(
        latent,
        frequency,
        len(ids),
        told(scanned, latent, look),
        [(token, weight / total) for token, weight in _most(told_as, look.tokens)],
        count,
        wide,
        rule.kind(count, wide),
        _contexts(model, ids, texts, one, look, letters),
        decisive,
    )


def _most(weights: dict[str, float], count: int) -> list[tuple[str, float]]:
    return sorted(weights.items(), key=lambda entry: (-entry[1], entry[0]))[:count]


def _contexts(
    model: Latent, ids: Sequence[str], texts: Sequence[str], one: Found, look: Look, letters: int
) -> list[Context]:
    """Half the strongest, each of another document, then half drawn by the seed."""
    by_strength = sorted(
        zip(one.weights, one.rows, one.places, strict=True), key=lambda x: (-x[0], x[1], x[2])
    )
    strongest: dict[int, tuple[int, float]] = {}
    for weight, row, place in by_strength:
        strongest.setdefault(row, (place, weight))
    first = list(strongest.items())[: -(-look.contexts // 2)]
    shown = [(row, place, weight, False) for row, (place, weight) in first]
    weight_at = {(r, p): w for r, p, w in zip(one.rows, one.places, one.weights, strict=True)}
    for row, place in one.chosen.items():
        if len(shown) >= look.contexts:
            break
        if row not in dict(first):
            shown.append((row, place, weight_at[row, place], True))
    return [
        Context(ids[row], in_sentence(model, texts[row], place, letters=letters), weight, random)
        for row, place, weight, random in shown
    ]


def told_share(features: Sequence[Feature]) -> float:
    """The mean score of those that have one."""
    values = [one.area.value for one in features if one.area is not None]
    return float(np.mean(values)) if values else float("nan")
