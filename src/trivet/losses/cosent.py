"""CoSENT: pairs ranked by their labels, whatever the labels' scale.

Su, "CoSENT (1): a more effective sentence-vector scheme than Sentence-BERT",
https://kexue.fm/archives/8847. With scores s and labels y the loss is
log(1 + sum of exp(tau (s_i - s_j)) over all i, j with y_i < y_j).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from trivet.core.errors import ConfigError

_CELLS = 1 << 22  # scores compared at once


@dataclass
class Cosent:
    """The config of the loss."""

    tau: float = 20.0
    """Scores are multiplied by it."""

    def __post_init__(self) -> None:
        """A scale that orders."""
        if self.tau <= 0:
            raise ConfigError("must be above 0", where="tau", fix="Try tau=20")

    def __call__(self, scores: Tensor, labels: Tensor) -> Tensor:
        """The loss over scored pairs; see `cosent`."""
        return cosent(scores, labels, tau=self.tau)


def cosent(scores: Tensor, labels: Tensor, *, tau: float = 20.0, cells: int = _CELLS) -> Tensor:
    """The ranking loss, a scalar; 0 where no label is below another.

    Args:
        scores: (P,), one for each pair, such as the cosine of its two vectors.
        labels: (P,), only their order counts.
        tau: scores are multiplied by it.
        cells: comparisons held at once. No (P, P) matrix is kept, not for the backward pass either.
    """
    dtype = torch.promote_types(scores.dtype, torch.float32)  # never less than fp32
    scaled = scores.to(dtype) * tau  # (P,)
    total = scaled.new_zeros(1)  # the 1 inside the logarithm
    rows = max(1, cells // max(1, len(scaled)))
    for start in range(0, len(scaled), rows):
        some = slice(start, start + rows)
        if len(scaled) > rows:
            part = cast("Tensor", checkpoint(_part, scaled, labels, some, use_reentrant=False))
        else:
            part = _part(scaled, labels, some)
        total = torch.logaddexp(total, part)
    return total.squeeze(0)


def _part(scaled: Tensor, labels: Tensor, some: slice) -> Tensor:
    """(1,), the log-sum-exp of the rows `some`; rows that rank nothing add nothing."""
    differences = scaled[some, None] - scaled[None, :]  # (R, P)
    counted = labels[some, None] < labels[None, :]  # (R, P)
    # a finite stand-in for minus infinity, so that its gradient is 0 and not undefined
    lowest = torch.finfo(differences.dtype).min
    return differences.masked_fill(~counted, lowest).logsumexp((0, 1)).reshape(1)
