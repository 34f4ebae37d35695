"""LambdaLoss: pairs of documents in the wrong order, weighted by what they cost nDCG.

Wang et al., "The LambdaLoss Framework for Ranking Metric Optimization",
https://doi.org/10.1145/3269206.3271784. With scores s, labels y, and the documents in the order of
their scores, r(i) being the place of document i from 1 on:

    loss = sum over y_i > y_j of w_ij log2(1 + exp(-sigma (s_i - s_j)))
    w_ij = |G_i - G_j| (rho_ij + mu delta_ij)
    G_i = (2^y_i - 1) / ideal DCG,  D(k) = log2(1 + k)
    rho_ij = |1 / D(r(i)) - 1 / D(r(j))|
    delta_ij = |1 / D(k) - 1 / D(k + 1)| for k = |r(i) - r(j)|

rho alone (mu = 0) is LambdaRank; both are the paper's NDCG-Loss2++. Weights are constants: no
gradient flows through places.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from trivet.core.errors import ConfigError
from trivet.losses.kl import scaled

_LARGEST = 30.0  # of a label: 2^y is a gain


@dataclass
class LambdaLoss:
    """The loss, mean over queries."""

    needs: ClassVar[str] = f"Give scores from 0 to {_LARGEST:g}, or set loss.scale=minmax"

    sigma: float = 1.0
    """Differences of scores are multiplied by it."""
    mu: float = 10.0
    """What `delta` counts beside `rho`; 0 is LambdaRank."""
    scale: Literal["none", "minmax"] = "none"
    """Labels are grades from 0 on as they are, or brought to 0 and 1 within each query."""

    def __post_init__(self) -> None:
        """A slope that orders, a weight that does not turn."""
        if self.sigma <= 0:
            raise ConfigError("must be above 0", where="sigma")
        if self.mu < 0:
            raise ConfigError("must not be negative", where="mu", fix="0 is LambdaRank")

    def __call__(self, scores: Tensor, labels: Tensor) -> Tensor:
        """(B, n) and (B, n) to one number."""
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        labels = labels.to(scores)
        if self.scales:
            labels = scaled(labels, "minmax")
        better = labels[:, :, None] > labels[:, None, :]  # (B, n, n)
        apart = self.sigma * (scores[:, :, None] - scores[:, None, :])  # (B, n, n)
        costs = F.softplus(-apart) / math.log(2)
        return (costs * _weights(scores.detach(), labels, self.mu) * better).sum((1, 2)).mean()

    @property
    def scales(self) -> bool:
        """Whether labels are changed before they are used."""
        return self.scale != "none"

    def unfit(self, labels: Tensor) -> Tensor:
        """Which rows of labels, (B, n), it cannot use: (B,)."""
        return ((labels < 0) | (labels > _LARGEST)).any(-1) & (not self.scales)


def _weights(scores: Tensor, labels: Tensor, mu: float) -> Tensor:
    """What it costs that two documents stand as they do, (B, n, n)."""
    count = scores.shape[1]
    order = torch.sort(scores, dim=-1, descending=True, stable=True).indices
    places = torch.argsort(order, dim=-1)  # (B, n), from 0 on
    steps = torch.arange(1, count + 2, dtype=scores.dtype, device=scores.device)
    discounts = 1 / torch.log2(1 + steps)  # of places 1, 2, …
    gains = torch.exp2(labels) - 1  # (B, n)
    ideal = (gains.sort(dim=-1, descending=True).values * discounts[:count]).sum(-1)  # (B,)
    gains = gains / ideal.clamp(min=torch.finfo(scores.dtype).tiny)[:, None]
    own = discounts[places]  # (B, n)
    rho = (own[:, :, None] - own[:, None, :]).abs()
    distance = (places[:, :, None] - places[:, None, :]).abs()  # (B, n, n), 0 on the diagonal
    between = torch.cat([discounts.new_zeros(1), -discounts.diff()])  # by distance
    return (gains[:, :, None] - gains[:, None, :]).abs() * (rho + mu * between[distance])
