"""A student that keeps its teacher's distance between the positive and every other document.

Hofstaetter et al., "Improving Efficient Neural Ranking Models with Cross-Architecture Knowledge
Distillation", https://arxiv.org/abs/2010.02666.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass
class MarginMSE:
    """The mean squared difference of the margins of a query's first document over its others."""

    def __call__(self, student: Tensor, teacher: Tensor) -> Tensor:
        """(B, n) and (B, n) to one number; the first document is the positive."""
        student = student.to(torch.promote_types(student.dtype, torch.float32))
        return F.mse_loss(_margins(student), _margins(teacher.to(student)))


def _margins(scores: Tensor) -> Tensor:
    return scores[:, :1] - scores[:, 1:]  # (B, n - 1)
