"""Products of matrices on a CPU: by the faster of torch's libraries, and no more than is needed.

In fp32 `a @ b.T` goes to MKL, which is slow on AMD processors; there the same sums go through
oneDNN, also a part of torch (experiments/002). Which one is taken depends on the processor and on
the shapes, and on nothing else, so that a machine always rounds alike.
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from trivet.core.machine import hardware

_SHAPES = 16  # a multiple of it


def inner(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """(..., m): each row of (..., D) with each row of (m, D), and `bias` (m,) added."""
    known = a.dtype == b.dtype and a.dtype in (torch.float32, torch.bfloat16)
    if not known or a.device.type != "cpu" or not a.numel() or not b.numel():
        return F.linear(a, b, bias)
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in (a, b, bias)):
        return cast(Any, _Product).apply(a, b, bias)
    return _product(a, b, bias)


def _product(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    linear = onednn() if a.dtype == torch.float32 else None
    return F.linear(a, b, bias) if linear is None else linear(a, b, bias, "none", [], "")


def evened(b: Tensor) -> Tensor:
    """`b` (m, D), filled up with zeros to one of few lengths where each length costs a kernel."""
    return F.pad(b, (0, 0, 0, -len(b) % _SHAPES)) if b.device.type == "cpu" and onednn() else b


@cache
def onednn() -> Any:
    """oneDNN's product where it is the faster one, and this torch has it."""
    if "AMD" not in hardware()["cpu"] or not torch.backends.mkldnn.is_available():
        return None
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None)


class _Product(torch.autograd.Function):
    """Rows whose gradient is zero are left out on the way back.

    In the last layer before MaxSim they are most: it asks for a few tokens of a document.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(a, b)
        return _product(a, b, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        a, b = ctx.saved_tensors
        rows, flat = grads[0].flatten(0, -2), a.flatten(0, -2)  # (N, m), (N, D)
        count, some = len(rows), _reached(rows)
        if some is not None:
            rows, flat = rows[some], flat[some]
        to_a = None
        if ctx.needs_input_grad[0]:
            to_a = _product(rows, b.T)
            if some is not None:
                to_a = a.new_zeros(count, a.shape[-1]).index_copy_(0, some, to_a)
            to_a = to_a.view(a.shape)
        to_b = rows.T @ flat if ctx.needs_input_grad[1] else None  # `_product` would copy both
        return to_a, to_b, rows.sum(0) if ctx.needs_input_grad[2] else None


def _reached(rows: Tensor) -> Tensor | None:
    """Which of (N, m) rows are not zero, where they are less than half of them."""
    if 2 * int(rows[:, 0].count_nonzero()) > len(rows):
        return None
    some = rows.any(1).nonzero()[:, 0]
    return some if 2 * len(some) < len(rows) else None
