"""BatchTopK: k directions a vector on average, more where a vector needs more.

Bussmann et al., https://arxiv.org/abs/2412.06410. While it trains, the largest products of a whole
batch are kept; what is searched must not depend on its neighbours, so a threshold takes their
place then: the mean of the smallest products that were kept, of the last tenth of the steps.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from trivet.models.products import largest, weigh
from trivet.models.sae import Active, TopK

_MOST = 8  # times k: what one vector can have
_NEW = 0.001  # the least share of a step's own threshold
_MEMORY = 0.1  # of all steps so far: what a threshold remembers, until that is 1 / _NEW steps


class BatchTopK(TopK):
    """A dictionary of directions, k of which make up a vector on average, and 8 k at most."""

    kind: ClassVar[str] = "batch_topk"
    threshold: Tensor
    seen: Tensor

    def __init__(self, dim: int, latents: int, k: int) -> None:
        """`latents` directions in `dim` dimensions."""
        super().__init__(dim, latents, k)
        self.register_buffer("threshold", torch.tensor(-1.0))  # below 0: none is known yet
        self.register_buffer("seen", torch.tensor(0.0))  # micro-batches that it was read off

    def encode(self, vectors: Tensor) -> Active:
        """The largest products of all T vectors, (T, D), or those above the threshold."""
        centred = vectors - self.center
        most = min(_MOST * self.k, self.latents)
        chosen, products = largest(centred, self.encoder, most, self.bias)
        weights = weigh(centred, self.encoder, chosen, products).relu()
        kept = weights.detach() > self.threshold
        if self.training and len(vectors):
            least = weights.detach().flatten().topk(self.k * len(vectors)).values[-1]
            kept = weights.detach() >= least
            if torch.is_grad_enabled():
                self._remember(least)
        return Active(chosen, torch.where(kept, weights, 0))

    @torch.no_grad()
    def _remember(self, least: Tensor) -> None:
        share = (1 / (1 + _MEMORY * self.seen)).clamp(min=_NEW)
        self.threshold.copy_(torch.lerp(self.threshold, least.to(self.threshold), share))
        self.seen += 1
