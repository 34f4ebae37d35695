"""Which documents of a batch only look like negatives."""

from __future__ import annotations

import torch
from torch import Tensor


def false_negatives(
    queries: Tensor, documents: Tensor, known_queries: Tensor, known_documents: Tensor
) -> tuple[Tensor, Tensor]:
    """Rows and columns (E,) of documents known to answer a query: its own, or through a copy of it.

    Texts are compared by id: `queries` (B,) and `documents` (N,) hold ids that are equal where the
    texts are; `known_queries` and `known_documents` (K,) are the pairs of the batch. A document
    counts as known if any query with the same text has a document with the same text. Rows ascend.
    """
    pairs = torch.stack([known_queries, known_documents], 1).unique(dim=0)  # sorted by query
    rows, found = _matches(queries, pairs[:, 0].contiguous())
    sorted_documents, order = documents.sort(stable=True)
    again, places = _matches(pairs[found, 1], sorted_documents)
    return rows[again], order[places]


def _matches(wanted: Tensor, among: Tensor) -> tuple[Tensor, Tensor]:
    """Every i and j with wanted[i] == among[j], where `among` is sorted; i ascends."""
    left = torch.searchsorted(among, wanted)
    counts = torch.searchsorted(among, wanted, right=True) - left
    rows = torch.arange(len(wanted), device=wanted.device).repeat_interleave(counts)
    begins = (counts.cumsum(0) - counts).repeat_interleave(counts)
    steps = torch.arange(len(rows), device=wanted.device) - begins
    return rows, left.repeat_interleave(counts) + steps
