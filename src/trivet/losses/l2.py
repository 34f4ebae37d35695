"""How far each vector lies from the teacher's.

The plain distance that mxbai-edge-colbert-v0 (https://arxiv.org/abs/2510.14880) and
LEAF (https://arxiv.org/abs/2509.12539) train with. The report's equation can be read with and
without a root, so both are here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


def l2(student: Tensor, teacher: Tensor, *, squared: bool) -> Tensor:
    """The Euclidean distance of each row to its teacher's, squared or not, mean over rows.

    Args:
        student: (B, D).
        teacher: (B, D).
        squared: the sum over dimensions of the squared differences, without the root.
    """
    dtype = torch.promote_types(student.dtype, torch.float32)  # never less than fp32
    apart = student.to(dtype) - teacher.to(dtype)  # (B, D)
    if squared:
        return apart.square().sum(-1).mean()
    return torch.linalg.vector_norm(apart, dim=-1).mean()


@dataclass
class L2:
    """Plain L2 between student and teacher."""

    squared: bool
    """Squared distances, or distances; there is no silent choice."""

    def __call__(self, student: Tensor, teacher: Tensor) -> Tensor:
        """(B, D) and (B, D) to one number."""
        return l2(student, teacher, squared=self.squared)
