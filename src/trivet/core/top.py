"""The largest of each row: as torch.topk, several times faster where rows are long."""

from __future__ import annotations

import torch
from torch import Tensor

_GROUP = 16  # of these only the largest is looked at first


def top(rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row of (T, M), largest first, and their places.

    The k largest lie in those k groups whose largest are the largest; the others are not sorted.
    """
    count, width = rows.shape
    groups = width // _GROUP
    if groups < 4 * k or not count:
        values, places = rows.topk(k, dim=1)
        return values, places
    whole = groups * _GROUP  # a group is every so-manieth column: its maximum is taken abreast
    best = rows[:, :whole].unflatten(1, (_GROUP, groups)).amax(1).topk(k, dim=1).indices
    steps = torch.arange(0, whole, groups, device=rows.device)
    places = (best[:, None] + steps[:, None]).view(count, -1)  # (T, 16 k)
    rest = torch.arange(whole, width, device=rows.device).expand(count, -1)
    places = torch.cat([places, rest], 1)
    values, chosen = rows.gather(1, places).topk(k, dim=1)
    return values, places.gather(1, chosen)
