"""Contrastive loss over the documents of a batch.

van den Oord et al., "Representation Learning with Contrastive Predictive Coding",
https://arxiv.org/abs/1807.03748; in-batch negatives as in DPR, https://arxiv.org/abs/2004.04906.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def infonce(
    queries: Tensor,
    documents: Tensor,
    *,
    positives: Tensor,
    temperature: float,
    excluded: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of each query's own document against all others, mean over queries.

    Args:
        queries: (B, D), normalised.
        documents: (N, D), normalised.
        positives: (B,), the column of each query's own document.
        temperature: scores are divided by it; 0.02 to 0.05 is usual.
        excluded: (B, N), true where a document must not count as a negative, because it is another
            copy of the positive, or belongs to another copy of the query. Positives always count.
    """
    dtype = torch.promote_types(queries.dtype, torch.float32)  # never less than fp32
    scores = queries.to(dtype) @ documents.to(dtype).T / temperature  # (B, N)
    if excluded is not None:
        keep = F.one_hot(positives, documents.shape[0]).bool()
        scores = scores.masked_fill(excluded & ~keep, float("-inf"))
    return F.cross_entropy(scores, positives)
