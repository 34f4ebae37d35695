"""Dropout on a CPU, from numbers that are drawn many at a time.

torch draws them one after another on processors that are not Intel's, and a small encoder spends
a good part of a step on that. A seed gives the same numbers on every processor here.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_STEPS = 1 << 16  # a number has 16 bits


def dropout(values: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`F.dropout`, by 16-bit numbers that follow from torch's own state."""
    cut = round(p * _STEPS)
    plain = values.device.type == "cpu" and values.is_floating_point() and not inplace
    if not (training and plain and 0 < cut < _STEPS and values.numel()):
        return F.dropout(values, p, training, inplace)
    return cast(Any, _Dropout).apply(values, cut)


class _Dropout(torch.autograd.Function):
    """Only the bits of what stays are held for the way back."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, cut: int) -> Tensor:
        seed = int(torch.randint(1 << 62, ()))
        words = np.random.Generator(np.random.SFC64(seed)).integers(
            0, 1 << 64, -(-values.numel() // 4), dtype=np.uint64
        )
        kept = torch.from_numpy(words.view(np.uint16)[: values.numel()] >= cut).view(values.shape)
        ctx.save_for_backward(kept)
        ctx.scale = _STEPS / (_STEPS - cut)
        return _masked(values, kept, ctx.scale)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return _masked(grads[0], ctx.saved_tensors[0], ctx.scale), None


def _masked(values: Tensor, kept: Tensor, scale: float) -> Tensor:
    return torch.where(kept, values * scale, 0)
