"""Late interaction over what would be retrieved: each query token sees its best tokens only.

XTR, "Rethinking the Role of Token Retrieval in Multi-Vector Retrieval"
(https://arxiv.org/abs/2304.01982). A token retriever finds the k document tokens nearest to each
query token, and all others are lost. Trained on the sum over all query tokens a model never learns
to retrieve; here a query token counts for a document only if one of the document's tokens is among
its k nearest in the whole batch, and the sum is divided by how many count.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trivet.core.errors import ConfigError
from trivet.core.ragged import Ragged

BUDGET = 1 << 22  # similarities held at once
_TIE = 1e-6  # nearer to the kth than this is as near: rounding must not choose among equals


@dataclass
class XTR:
    """Contrast of the documents of the batch by their retrieved tokens."""

    k: int
    """Document tokens that each query token retrieves, of those of the whole batch."""
    temperature: float = 1.0
    """Scores are divided by it before the softmax."""
    mask_false_negatives: bool = True
    """Documents known to answer a query are no negatives of it."""

    def __post_init__(self) -> None:
        """Something is retrieved, and a scale that orders."""
        if self.k < 1:
            raise ConfigError("must be at least 1", where="k", fix="Try k=256")
        if self.temperature <= 0:
            raise ConfigError("must be above 0", where="temperature", fix="Try temperature=0.02")


def retrieved_maxsim(queries: Ragged, documents: Ragged, k: int, *, budget: int = BUDGET) -> Tensor:
    """(B, N): the mean over the query tokens that retrieve a token of a document, of its best one.

    A query token retrieves the k document tokens nearest to it, and those as near as the kth. A
    document of which nothing is retrieved scores 0. Every document must have a token. Memory grows
    with query tokens times the documents that they retrieve of, never with pairs of tokens.
    """
    dtype = torch.promote_types(queries.values.dtype, torch.float32)
    device = queries.values.device
    q, d = queries.values.to(dtype), documents.values.to(dtype)
    owners = torch.repeat_interleave(
        torch.arange(len(queries), device=device), queries.lengths.to(device)
    )  # (T,)
    tokens, columns, winners = _retrieved(q.detach(), documents, d.detach(), k, budget)
    cells = owners[tokens] * len(documents) + columns
    sums = q.new_zeros(len(queries) * len(documents))
    hits = sums.index_add(0, cells, torch.ones_like(cells, dtype=dtype))
    sums = sums.index_add(0, cells, (q[tokens] * d[winners]).sum(-1))
    return (sums / hits.clamp(min=1)).view(len(queries), len(documents))


def _retrieved(
    q: Tensor, documents: Ragged, d: Tensor, k: int, budget: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Query tokens, documents that they retrieve a token of, the best such token: (E,) each."""
    offsets, lengths = documents.offsets.to(d.device), documents.lengths.to(d.device)
    steps = torch.arange(int(lengths.max()), device=d.device)
    places = offsets[:-1, None] + torch.minimum(steps, lengths[:, None] - 1)  # (N, L), filled up
    size = max(1, budget // places.numel())
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    with torch.autocast(q.device.type, enabled=False):
        for start in range(0, len(q), size):
            scores = q[start : start + size] @ d.T  # (t, T)
            kth = scores.topk(min(k, len(d)), dim=1).values[:, -1:]  # (t, 1)
            best, at = scores[:, places].max(-1)  # (t, N)
            rows, columns = (best >= kth - _TIE).nonzero(as_tuple=True)
            found.append((rows + start, columns, places[columns, at[rows, columns]]))
    tokens, columns, winners = (torch.cat(part) for part in zip(*found, strict=True))
    return tokens, columns, winners
