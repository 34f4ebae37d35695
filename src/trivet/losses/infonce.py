"""Contrastive loss over the documents of a batch.

van den Oord et al., "Representation Learning with Contrastive Predictive Coding",
https://arxiv.org/abs/1807.03748; in-batch negatives as in DPR, https://arxiv.org/abs/2004.04906.
Scores are computed a block of queries at a time and turned into gradients at once, so the matrix
of all scores never exists and a large batch costs the memory of its vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trivet.core.errors import ConfigError

ROWS = 256  # queries scored at a time: their scores take the memory of the documents' vectors


@dataclass
class InfoNCE:
    """The config of the loss."""

    temperature: float = 0.02
    """Scores are divided by it before the softmax."""
    mask_false_negatives: bool = True
    """Documents known to answer a query are no negatives of it."""

    def __post_init__(self) -> None:
        """A scale that orders."""
        if self.temperature <= 0:
            raise ConfigError("must be above 0", where="temperature", fix="Try temperature=0.02")


def infonce(
    queries: Tensor,
    documents: Tensor,
    *,
    positives: Tensor,
    temperature: float,
    excluded: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Cross-entropy of each query's own document against all others, mean over queries.

    Args:
        queries: (B, D), normalised.
        documents: (N, D), normalised.
        positives: (B,), the column of each query's own document.
        temperature: scores are divided by it; 0.02 to 0.05 is usual.
        excluded: rows (E,), ascending, and columns (E,) of documents that must not count as
            negatives, because they are known to answer the query. Positives always count.
    """
    dtype = torch.promote_types(queries.dtype, torch.float32)  # never less than fp32
    if excluded is None:
        excluded = (positives[:0], positives[:0])
    streamed: Any = _Streamed.apply
    return streamed(queries.to(dtype), documents.to(dtype), positives, temperature, *excluded)


class _Streamed(torch.autograd.Function):
    """Blocks of queries against all documents: each block's gradients are made with its loss."""

    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        documents: Tensor,
        positives: Tensor,
        temperature: float,
        rows: Tensor,
        columns: Tensor,
    ) -> Tensor:
        wanted = ctx.needs_input_grad[0] or ctx.needs_input_grad[1]
        to_queries, to_documents = torch.zeros_like(queries), torch.zeros_like(documents)
        count = len(queries)
        total = queries.new_zeros(())
        with torch.autocast(queries.device.type, enabled=False):
            for start in range(0, count, ROWS):
                block = slice(start, min(start + ROWS, count))
                own = positives[block][:, None]  # (b, 1)
                scores = queries[block] @ documents.T / temperature  # (b, N)
                right = scores.gather(1, own)  # (b, 1)
                ends = torch.searchsorted(rows, rows.new_tensor([start, block.stop]))
                here = slice(*ends.tolist())
                scores[rows[here] - start, columns[here]] = float("-inf")
                scores.scatter_(1, own, right)
                lse = scores.logsumexp(1, keepdim=True)  # (b, 1)
                total += (lse - right).sum()
                if wanted:
                    shares = scores.sub_(lse).exp_()  # (b, N), the softmax
                    shares.scatter_add_(1, own, torch.full_like(right, -1.0))
                    to_queries[block] = shares @ documents
                    to_documents += shares.T @ queries[block]
        ctx.save_for_backward(to_queries, to_documents)
        ctx.scale = 1.0 / (temperature * count)
        return total / count

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        to_queries, to_documents = ctx.saved_tensors
        scale = grads[0] * ctx.scale
        return to_queries * scale, to_documents * scale, None, None, None, None
