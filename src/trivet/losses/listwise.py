"""The documents of a query share one answer: a softmax over the list.

ListNet's probability of standing first (Cao et al., "Learning to Rank: From Pairwise Approach to
Listwise Approach", https://doi.org/10.1145/1273496.1273513). Where one document alone is right it
is the cross-entropy that rerankers are trained with (Gao et al., "Rethink Training of BERT
Rerankers in Multi-Stage Retrieval Pipeline", https://arxiv.org/abs/2101.08751).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from trivet.core.errors import ConfigError
from trivet.losses.kl import Side


@dataclass
class Listwise:
    """Cross-entropy of the scores' shares from the labels' shares, mean over queries."""

    needs: ClassVar[str] = "Give scores of at least 0, one of them above, or set loss.teacher"

    temperature: float = 1.0
    """Scores are divided by it before the softmax."""
    teacher: Side | None = None
    """How a teacher's scores become shares; null divides labels, at least 0, by their sum."""

    def __post_init__(self) -> None:
        """A scale that orders."""
        if self.temperature <= 0:
            raise ConfigError("must be above 0", where="temperature")

    def __call__(self, scores: Tensor, labels: Tensor) -> Tensor:
        """(B, n) and (B, n) to one number."""
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        labels = labels.to(scores)
        if self.teacher is None:
            shares = labels / labels.sum(-1, keepdim=True)  # (B, n)
        else:
            shares = self.teacher(labels).exp()
        return -(shares * F.log_softmax(scores / self.temperature, dim=-1)).sum(-1).mean()

    @property
    def scales(self) -> bool:
        """Whether labels are a teacher's scores."""
        return self.teacher is not None

    def unfit(self, labels: Tensor) -> Tensor:
        """Which rows of labels, (B, n), it cannot use: (B,)."""
        return ((labels < 0).any(-1) | (labels.sum(-1) <= 0)) & (not self.scales)
