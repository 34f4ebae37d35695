"""Micro-batches of texts of like length: with little padding, or where there is none, by tokens."""

from __future__ import annotations

import torch
from torch import Tensor

SLACK = 0.15


def buckets(lengths: Tensor, budget: int) -> list[Tensor]:
    """Cut rows into groups whose padded size, rows x longest, stays within a budget of tokens.

    Rows are sorted by length, longest first, so a budget that does not fit in memory fails at once
    and not after an hour. A row longer than the budget forms a group alone. A group also ends where
    a row would be padded by more than `SLACK` of the longest, so padding stays below that share
    however few the groups. Ties keep their order, so equal input gives equal groups.
    """
    if budget < 1:
        raise ValueError(f"a budget of {budget} tokens holds nothing")
    order = torch.sort(lengths, descending=True, stable=True).indices
    groups: list[Tensor] = []
    start, longest = 0, 0
    for end, length in enumerate([*lengths[order].tolist(), -1]):
        if end == start:
            longest = length
        elif length < (1 - SLACK) * longest or (end + 1 - start) * longest > budget:
            groups.append(order[start:end])
            start, longest = end, length
    return groups


def packs(lengths: Tensor, budget: int) -> list[Tensor]:
    """Cut rows into groups of no more than a budget of tokens in all, longest first.

    For encoders that read texts end to end. A row longer than the budget forms a group alone; ties
    keep their order.
    """
    if budget < 1:
        raise ValueError(f"a budget of {budget} tokens holds nothing")
    order = torch.sort(lengths, descending=True, stable=True).indices
    groups: list[Tensor] = []
    start, held = 0, 0
    for end, length in enumerate(lengths[order].tolist()):
        if end > start and held + length > budget:
            groups.append(order[start:end])
            start, held = end, 0
        held += length
    return [*groups, order[start:]] if len(order) else groups


def padding_share(lengths: Tensor, groups: list[Tensor]) -> float:
    """The share of computed tokens that are padding."""
    computed = sum(len(group) * int(lengths[group].max()) for group in groups)
    return 1.0 - float(lengths.sum()) / computed if computed else 0.0
