"""A dense model that answers in its teacher's dimensions while it learns.

The head is dropped afterwards: what is kept is the encoder (https://arxiv.org/abs/2510.14880,
section 3.2).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trivet.core.errors import ConfigError
from trivet.core.ragged import Ragged
from trivet.models.dense import Dense
from trivet.models.heads import Projection


@runtime_checkable
class Head(Protocol):
    """Makes a map from the student's dimensions to the teacher's."""

    def make(self, inner: int, outer: int) -> nn.Module:
        """From `inner` to `outer` dimensions."""
        ...


@dataclass
class Linear:
    """One linear map, as in LEAF (https://arxiv.org/abs/2509.12539)."""

    bias: bool = True
    """Whether a constant is added."""

    def make(self, inner: int, outer: int) -> nn.Module:
        """From `inner` to `outer` dimensions."""
        return Projection(inner, outer, bias=self.bias)


@dataclass
class TwoLayer:
    """Two linear maps with SiLU between them."""

    hidden: int | None = None
    """Dimensions in between; null is as many as the teacher has."""
    bias: bool = True
    """Whether each map adds a constant."""

    def __post_init__(self) -> None:
        """At least one dimension."""
        if self.hidden is not None and self.hidden < 1:
            raise ConfigError("must be at least 1, or null", where="hidden")

    def make(self, inner: int, outer: int) -> nn.Module:
        """From `inner` to `outer` dimensions."""
        hidden = self.hidden or outer
        return nn.Sequential(
            Projection(inner, hidden, bias=self.bias, activation=nn.SiLU()),
            Projection(hidden, outer, bias=self.bias),
        )


class Student(nn.Module):
    """Encoder, pooling, head, and unit vectors where the teacher's are."""

    def __init__(
        self,
        model: Dense,
        head: Head | None,
        dim: int,
        *,
        normalize: bool,
        seed: int,
        any_size: bool = False,
    ) -> None:
        """Train `model` in place; `seed` draws the head.

        Without a head the sizes must agree, unless the loss compares texts with texts only.
        """
        super().__init__()
        if head is None and model.dim != dim and not any_size:
            raise ConfigError(
                f"the student has {model.dim} dimensions, the teacher {dim}",
                where="head",
                fix="Choose one of the group student, such as two_layer",
            )
        self.model = copy.copy(model)  # the same weights, pooled but not yet normalised
        self.model.normalize = False
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.head = head.make(model.dim, dim) if head else nn.Identity()
        self.normalize = normalize

    def forward(self, tokens: Ragged) -> Tensor:
        """Vectors of N texts in the teacher's space, (N, D)."""
        out = self.head(self.model(tokens)).float()
        return F.normalize(out, dim=-1) if self.normalize else out
