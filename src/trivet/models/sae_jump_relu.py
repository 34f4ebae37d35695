"""JumpReLU: each direction has its own threshold, and what lies below it counts nothing.

Rajamanoharan et al., https://arxiv.org/abs/2407.14435. Thresholds learn by what happens in a narrow
band around them. How many directions a vector has is held near k by a quadratic penalty, as
Anthropic's and the paper's appendix have it, rather than pressed down without an aim.
"""

from __future__ import annotations

from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trivet.models.products import above, largest, weigh
from trivet.models.sae import Active, TopK

_FIRST = 4  # times k directions lie above the first threshold


class JumpReLU(TopK):
    """A dictionary of directions with thresholds; about k of them make up a vector."""

    kind: ClassVar[str] = "jump_relu"
    band: Tensor

    def __init__(
        self, dim: int, latents: int, k: int, *, pressure: float = 1.0, width: float = 0.1
    ) -> None:
        """`pressure`: the penalty's weight; `width`: of the band, in first thresholds."""
        super().__init__(dim, latents, k)
        self.pressure, self.width = pressure, width
        self.log_threshold = nn.Parameter(torch.zeros(latents))
        self.register_buffer("band", torch.tensor(width))

    def settle(self, vectors: Tensor) -> None:
        """Begin with one threshold that leaves a few times k directions a vector."""
        most = min(_FIRST * self.k, self.latents)
        _, products = largest(vectors - self.center, self.encoder, most, self.bias)
        first = products[:, -1].median().clamp(min=1e-6)
        self.log_threshold.data.fill_(float(first.log()))
        self.band.fill_(float(first) * self.width)

    def encode(self, vectors: Tensor) -> Active:
        """The products above their thresholds of each of T vectors, (T, D)."""
        return self.read(vectors)[0]

    def read(self, vectors: Tensor) -> tuple[Active, Tensor]:
        """Also what it costs to have more or fewer than k."""
        centred = vectors - self.center
        thresholds = self.log_threshold.exp()  # (M,)
        margin = self.band / 2 if self.training else self.band.new_zeros(())
        chosen, products, there = above(centred, self.encoder, thresholds - margin, self.bias)
        own = F.embedding(chosen, thresholds[:, None])[..., 0]  # (T, m)
        products = weigh(centred, self.encoder, chosen, products).relu()
        jumped, counted = cast(Any, _Jump).apply(products, own, self.band)
        share = (counted * there).sum(1).mean() / self.k
        return Active(chosen, jumped * there), self.pressure * (share - 1).square()


class _Jump(torch.autograd.Function):
    """Products above their thresholds, and which they are; both with the paper's gradients."""

    @staticmethod
    def forward(ctx: Any, products: Tensor, thresholds: Tensor, band: Tensor) -> Any:
        ctx.save_for_backward(products, thresholds, band)
        kept = (products > thresholds).to(products.dtype)
        return products * kept, kept

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        products, thresholds, band = ctx.saved_tensors
        near = ((products - thresholds).abs() < band / 2).to(products.dtype) / band
        to_thresholds = -near * (thresholds * grads[0] + grads[1])
        return grads[0] * (products > thresholds), to_thresholds, None
