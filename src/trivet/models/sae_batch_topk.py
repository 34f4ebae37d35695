"""BatchTopK: k directions a vector on average, more where a vector needs more.

Bussmann et al., https://arxiv.org/abs/2412.06410. While it trains, the largest products of a whole
batch are kept; what is searched must not depend on its neighbours, so a threshold takes their
place then: the mean of the smallest products that were kept.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from trivet.models.products import largest, weigh
from trivet.models.sae import Active, TopK

_MOST = 8  # times k: what one vector can have
_OLD = 0.999  # the share of the old threshold in the new one


class BatchTopK(TopK):
    """A dictionary of directions, k of which make up a vector on average, and 8 k at most."""

    kind: ClassVar[str] = "batch_topk"
    threshold: Tensor

    def __init__(self, dim: int, latents: int, k: int) -> None:
        """`latents` directions in `dim` dimensions."""
        super().__init__(dim, latents, k)
        self.register_buffer("threshold", torch.tensor(-1.0))  # below 0: none is known yet

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
        old = torch.where(self.threshold < 0, least, self.threshold)
        self.threshold.copy_(_OLD * old + (1 - _OLD) * least)
