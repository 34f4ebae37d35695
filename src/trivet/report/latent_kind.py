"""What kind of term a latent is: a word, a narrow meaning, or a broad topic; by a rule.

Clavié et al. (https://arxiv.org/abs/2605.29384) find all three among the latents of retrievers, and
give shares; how theirs were labelled is not known to us. The rule here can be computed again by
anybody. A latent is *lexical* if its weight lies on few tokens, whatever they mean. Of the others,
those whose tokens mean nearly one thing are *narrow semantic*, the rest *broad topical*. How near
is measured in the encoder's states of the tokens where they stand, on a scale that each corpus and
model brings with it: 0 is as alike as one word is to itself in another document, on average over
words; 1 is as alike as any two tokens are.

An earlier form took the means of the 8 tokens on either side for this, between one document and
any two: all ten latents of its first sample lay from 0.90 to 0.99, so it told nothing apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from trivet.core.errors import ConfigError

Kind = Literal["lexical", "narrow semantic", "broad topical"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PUBLISHED: dict[Kind, float] = {"lexical": 0.33, "narrow semantic": 0.10, "broad topical": 0.57}
SOURCE = (
    "published, arXiv 2605.29384: other models, dictionaries and texts, by labels of another kind"
)


_Z = 1.959964  # 95% of a normal distribution lie so near its mean


@dataclass
class Rule:
    """Where the lines are drawn; fixed in configs/inspect.yaml, with the reasons."""

    forms: float = 4.0
    """A latent on at most so many tokens is lexical: 2 to the power of the entropy of its weight
    over tokens, so four of equal weight are 4."""
    spread: float = 0.5
    """A latent that is not lexical is narrow up to here, on the scale from one word to any."""

    def __post_init__(self) -> None:
        """At least one token."""
        if self.forms < 1:
            raise ConfigError("must be at least 1", where="forms")

    @property
    def said(self) -> str:
        """The rule in words."""
        return (
            f"A latent is lexical if its weight lies on {self.forms:g} tokens or fewer (2 to the "
            f"entropy). Of the others, those whose tokens are at most {self.spread:g} apart in "
            "meaning are narrow semantic, the rest broad topical: 0 is one word in two documents, "
            "1 any two tokens."
        )

    def kind(self, forms: float, spread: float) -> Kind:
        """What a latent is; where there are no two contexts, it is on few tokens, too."""
        if forms <= self.forms or not np.isfinite(spread):
            return "lexical"
        return "narrow semantic" if spread <= self.spread else "broad topical"


@dataclass(frozen=True)
class Share:
    """How many of the latents are of a kind."""

    kind: Kind
    value: float
    low: float  # the interval of 95%, over latents
    high: float
    published: float


def forms(weights: Sequence[float]) -> float:
    """On how many tokens a latent's weight lies: 2 to the power of its entropy in bits."""
    given = np.asarray([weight for weight in weights if weight > 0], np.float64)
    chances = given / given.sum()
    return float(2 ** -(chances * np.log2(chances)).sum())


def spread(likeness: float, same: float, other: float) -> float:
    """Where a likeness stands between that of one word and that of any tokens."""
    return (same - likeness) / (same - other) if same > other else float("nan")


def shares(kinds: Sequence[Kind]) -> list[Share]:
    """Of some latents, drawn at random, the share of each kind, with Wilson's interval."""
    out: list[Share] = []
    count = len(kinds)
    for kind in KINDS:
        value = sum(found == kind for found in kinds) / count
        middle = value + _Z**2 / (2 * count)
        wide = _Z * math.sqrt(value * (1 - value) / count + _Z**2 / (4 * count**2))
        low, high = ((middle + sign * wide) / (1 + _Z**2 / count) for sign in (-1, 1))
        out.append(Share(kind, value, max(0.0, low), min(1.0, high), PUBLISHED[kind]))
    return out
