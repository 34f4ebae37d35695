"""A student that gives its teacher's shares to the documents of a query.

KL divergence over n-way tuples, as JaColBERTv2.5 (https://arxiv.org/abs/2407.20750) and
mxbai-edge-colbert-v0 (https://arxiv.org/abs/2510.14880) train: both sides' scores are brought to
one scale within each query, then to shares.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from trivet.core.errors import ConfigError

Scale = Literal["none", "minmax", "z"]
_SMALL = 1e-8


@dataclass
class Side:
    """How the scores of one side are scaled, within each query."""

    normalize: Scale = "none"
    """`minmax` to 0 and 1, `z` to mean 0 and deviation 1, or `none`."""
    temperature: float = 1.0
    """Scaled scores are divided by it before the softmax."""

    def __post_init__(self) -> None:
        """A scale that orders."""
        if self.temperature <= 0:
            raise ConfigError("must be above 0", where="temperature")

    def __call__(self, scores: Tensor) -> Tensor:
        """(B, n) scores to (B, n) logarithms of shares."""
        return F.log_softmax(scaled(scores, self.normalize) / self.temperature, dim=-1)


@dataclass
class KL:
    """The divergence of the student's shares from the teacher's, mean over queries."""

    student: Side = field(default_factory=Side)
    """Its scores: MaxSim grows with the length of a query, so none is a sharp softmax."""
    teacher: Side = field(default_factory=Side)
    """Its scores, as they stand in the data."""

    def __call__(self, student: Tensor, teacher: Tensor) -> Tensor:
        """(B, n) and (B, n) to one number."""
        mine, theirs = self.student(student), self.teacher(teacher.to(student))
        return F.kl_div(mine, theirs, reduction="batchmean", log_target=True)


def scaled(scores: Tensor, how: Scale) -> Tensor:
    """Scores of each query on one scale, (B, n); equal ones become 0."""
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    if how == "minmax":
        least, most = scores.amin(-1, keepdim=True), scores.amax(-1, keepdim=True)
        return (scores - least) / (most - least + _SMALL)
    if how == "z":
        spread = (scores - scores.mean(-1, keepdim=True)).square().mean(-1, keepdim=True)
        return (scores - scores.mean(-1, keepdim=True)) / (spread + _SMALL).sqrt()
    return scores
