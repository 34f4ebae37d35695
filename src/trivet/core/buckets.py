"""Length-bucketed micro-batches: rows of like length together, with little padding."""

from __future__ import annotations

import torch
from torch import Tensor


def buckets(lengths: Tensor, budget: int) -> list[Tensor]:
    """Cut rows into groups whose padded size, rows x longest, stays within a budget of tokens.

    Rows are sorted by length, longest first, so a budget that does not fit in memory fails at once
    and not after an hour. A row longer than the budget forms a group alone. Ties keep their order,
    so equal input gives equal groups.
    """
    if budget < 1:
        raise ValueError(f"a budget of {budget} tokens holds nothing")
    order = torch.sort(lengths, descending=True, stable=True).indices
    sorted_lengths: list[int] = lengths[order].tolist()
    groups: list[Tensor] = []
    start = 0
    while start < len(sorted_lengths):
        size = max(1, budget // max(1, sorted_lengths[start]))
        groups.append(order[start : start + size])
        start += size
    return groups


def padding_share(lengths: Tensor, groups: list[Tensor]) -> float:
    """The share of computed tokens that are padding."""
    computed = sum(len(group) * int(lengths[group].max()) for group in groups)
    return 1.0 - float(lengths.sum()) / computed if computed else 0.0
