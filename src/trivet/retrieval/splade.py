"""Learned sparse retrieval, exact: SPLADE's term weights, multiplied and added up in fp32.

Formal et al., https://arxiv.org/abs/2109.10086.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from trivet.core.buckets import buckets
from trivet.core.errors import ConfigError
from trivet.core.layers import fast_layers
from trivet.core.memory import halving
from trivet.core.ragged import Ragged
from trivet.core.schema import unkeyed
from trivet.models.splade import SpladeModel, load_splade
from trivet.retrieval.terms import Terms

_LOGITS = {"cpu": 1 << 20, "cuda": 1 << 28}  # a cache holds the one, a GPU's memory the other


@dataclass
class Splade(Terms[SpladeModel]):
    """Any SPLADE model (a masked language model with its head), max pooling, searched exactly."""

    kind: ClassVar[str] = "splade"

    logits: int | None = unkeyed(None)
    """Logits held at once, texts times tokens times terms; null is what is fast on the device."""

    def __post_init__(self) -> None:
        """Refuse counts that hold nothing."""
        super().__post_init__()
        if self.logits is not None and self.logits < 1:
            raise ConfigError("must be at least 1", where="logits")

    def _read(self, folder: Path) -> SpladeModel:
        return load_splade(folder)

    def _ready(self, device: str) -> SpladeModel:
        model = self.load().at(self.precision, device)
        model.logits = self.logits or _LOGITS["cpu" if device == "cpu" else "cuda"]
        return model

    def _terms(self, ids: Ragged, side: str, what: str) -> Iterator[tuple[Tensor, Ragged]]:
        model: SpladeModel = self._state["encoder"]
        budget = min(model.tokens, self.machine.encode_tokens)
        for group in buckets(ids.lengths, budget):
            work = partial(_of_group, model, ids, group, self.top_terms.get(side))
            out, model.logits = halving(work, model.logits, what)
            yield group, Ragged.of(out)


def _of_group(
    model: SpladeModel, ids: Ragged, group: Tensor, top: int | None, logits: int
) -> list[Tensor]:
    """Of each text of one batch its terms and their weights, (terms, 2), on the CPU."""
    model.logits = logits
    out: list[Tensor] = []
    for part in group.split(model.texts):
        with fast_layers():
            weights = model(ids.select(part))  # (b, V) fp32
        if top is not None and top < weights.shape[1]:
            kept = weights.topk(top, dim=1)
            weights = torch.zeros_like(weights).scatter_(1, kept.indices, kept.values)
        rows, terms = weights.nonzero(as_tuple=True)
        pairs = torch.stack([terms.float(), weights[rows, terms]], 1).cpu()  # ids below 2^24: exact
        out += pairs.split(rows.bincount(minlength=len(part)).tolist())
    return out
