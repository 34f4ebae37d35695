"""Matryoshka: the first values of a vector are to be a good vector by themselves.

Kusupati et al., "Matryoshka Representation Learning", https://arxiv.org/abs/2205.13147.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from trivet.core.errors import ConfigError


@dataclass
class Matryoshka:
    """The sizes at which a loss is taken."""

    dims: list[int]
    """Sizes of the shortened vectors; name the whole size too if it should count."""
    weights: list[float] = field(default_factory=list[float])
    """Weight of each size, in the same order; none given is 1 each, as in the paper."""

    def __post_init__(self) -> None:
        """Sizes that hold something and weights that belong to them."""
        if not self.dims or min(self.dims) < 1:
            raise ConfigError("must hold sizes of at least 1", where="dims", fix="dims=[64,128]")
        if len(set(self.dims)) < len(self.dims):
            raise ConfigError("names a size twice", where="dims", fix="Raise its weight instead")
        self.weights = self.weights or [1.0] * len(self.dims)
        if len(self.weights) != len(self.dims):
            what = f"{len(self.weights)} weights for {len(self.dims)} sizes"
            raise ConfigError(what, where="weights", fix="Give one for each, or none")
        if min(self.weights) <= 0:
            raise ConfigError("must be above 0", where="weights", fix="Leave that size out")

    def __call__(self, loss: Callable[[Tensor], Tensor], vectors: Tensor) -> Tensor:
        """The weighted sum of a loss over the first values of vectors (..., D), a scalar."""
        total = 0
        for dim, weight in zip(self.dims, self.weights, strict=True):
            if dim > vectors.shape[-1]:
                what = f"vectors have {vectors.shape[-1]} dimensions, not {dim}"
                raise ConfigError(what, where="dims")
            total = total + weight * loss(shortened(vectors, dim))
        return torch.as_tensor(total)


def shortened(vectors: Tensor, dim: int) -> Tensor:
    """The first values of each vector (..., D), normalised again in fp32 or better, (..., d)."""
    dtype = torch.promote_types(vectors.dtype, torch.float32)
    return F.normalize(vectors[..., :dim].to(dtype), dim=-1)
