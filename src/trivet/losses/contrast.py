"""Contrast over a matrix of scores that is small enough to hold: late interaction's case.

InfoNCE (https://arxiv.org/abs/1807.03748) where a score is a MaxSim, so it cannot be streamed as a
product of vectors (`infonce` does that).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def contrast(
    scores: Tensor,
    positives: Tensor,
    *,
    temperature: float,
    excluded: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Cross-entropy of each query's own document against all others, mean over queries.

    Args:
        scores: (B, N).
        positives: (B,), the column of each query's own document.
        temperature: scores are divided by it.
        excluded: rows and columns (E,) of documents that are no negatives; positives always count.
    """
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    if excluded is not None:
        barred = torch.zeros_like(scores, dtype=torch.bool)
        barred[excluded] = True
        barred[torch.arange(len(scores), device=scores.device), positives] = False
        scores = scores.masked_fill(barred, float("-inf"))
    return F.cross_entropy(scores / temperature, positives)
