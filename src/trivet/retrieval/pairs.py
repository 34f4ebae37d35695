"""Pairs of texts as tokens, scored fast: sorted by length, batched by tokens, tokenized ahead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trivet.core.buckets import buckets
from trivet.core.errors import TrivetError
from trivet.core.memory import halving
from trivet.core.prefetch import prefetch
from trivet.core.ragged import Ragged
from trivet.retrieval.encode import split

Pair = tuple[str, str]  # query, document


@dataclass(frozen=True)
class Pairs:
    """A row of tokens for each query and document, and how many rows had to be cut."""

    ids: Ragged
    types: Ragged | None  # which segment a token is of, for models that ask
    truncated: int

    @classmethod
    def of(cls, ids: list[list[int]], types: list[list[int]] | None, truncated: int) -> Pairs:
        """Lay rows end to end."""
        return cls(Ragged.of(ids), Ragged.of(types) if types is not None else None, truncated)

    def select(self, rows: Tensor) -> Pairs:
        """The named rows."""
        types = self.types.select(rows) if self.types is not None else None
        return Pairs(self.ids.select(rows), types, 0)

    def left(self) -> tuple[Tensor, Tensor]:
        """The rows side by side, filled up before they begin, so that all end in one column."""
        flipped, mask = Ragged.of([row.flip(0) for row in self.ids]).pad()
        return flipped.flip(1), mask.flip(1)


@dataclass(frozen=True)
class Scored:
    """A number for each pair, how many pairs were cut, and the budget that fitted."""

    scores: NDArray[np.float32]
    truncated: int
    budget: int


def score_pairs(
    pairs: Sequence[Pair],
    tokenize: Callable[[Sequence[Pair]], Pairs],
    forward: Callable[[Pairs], Tensor],
    budget: int,
) -> Scored:
    """Score pairs in batches of at most `budget` padded tokens, less where memory runs out."""
    scores = np.empty(len(pairs), dtype=np.float32)
    truncated = 0

    def prepare(rows: list[int]) -> tuple[list[int], Pairs]:
        return rows, tokenize([pairs[row] for row in rows])

    parts = split([query + document for query, document in pairs])
    for rows, tokens in prefetch(parts, prepare, depth=1):
        truncated += tokens.truncated
        for group in buckets(tokens.ids.lengths, budget):
            work = partial(_scored, tokens.select(group), forward)
            found, budget = halving(work, budget, "rerank")
            scores[np.array(rows)[group.numpy()]] = found.numpy()
    if not np.isfinite(scores).all():
        raise TrivetError("a score is not a number", where="rerank", fix="Try precision=fp32")
    return Scored(scores, truncated, budget)


def _scored(pairs: Pairs, forward: Callable[[Pairs], Tensor], budget: int) -> Tensor:
    out = torch.empty(len(pairs.ids))
    for group in buckets(pairs.ids.lengths, budget):
        out[group] = forward(pairs.select(group)).float().cpu()
    return out
