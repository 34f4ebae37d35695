"""Each document by itself: does it answer the query or not?

Binary cross-entropy of a score's logistic function, the loss of the first rerankers made of a
transformer (Nogueira and Cho, "Passage Re-ranking with BERT", https://arxiv.org/abs/1901.04085).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from trivet.core.errors import ConfigError
from trivet.losses.kl import scaled


@dataclass
class BCE:
    """Binary cross-entropy, mean over all documents of all queries."""

    needs: ClassVar[str] = "Give scores from 0 to 1, or set loss.scale=sigmoid or minmax"

    scale: Literal["none", "sigmoid", "minmax"] = "none"
    """How labels become probabilities: `none` where they are, `sigmoid` of a teacher's logits,
    `minmax` within each query."""
    positive_weight: float = 1.0
    """What the part of a label that says yes counts; that which says no counts 1."""

    def __post_init__(self) -> None:
        """A weight that pulls."""
        if self.positive_weight <= 0:
            raise ConfigError("must be above 0", where="positive_weight")

    def __call__(self, scores: Tensor, labels: Tensor) -> Tensor:
        """(B, n) and (B, n) to one number."""
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        labels = labels.to(scores)
        if self.scale == "sigmoid":
            labels = labels.sigmoid()
        elif self.scale == "minmax":
            labels = scaled(labels, "minmax")
        weight = scores.new_tensor(self.positive_weight)
        return F.binary_cross_entropy_with_logits(scores, labels, pos_weight=weight)

    @property
    def scales(self) -> bool:
        """Whether labels are changed before they are used."""
        return self.scale != "none"

    def unfit(self, labels: Tensor) -> Tensor:
        """Which rows of labels, (B, n), it cannot use: (B,)."""
        return ((labels < 0) | (labels > 1)).any(-1) & (not self.scales)
