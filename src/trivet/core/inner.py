"""Products of fp32 matrices, by the faster of torch's two CPU libraries.

`a @ b.T` goes to MKL, which is slow on AMD processors; there the same sums go through oneDNN, also
a part of torch (experiments/002). Which one is taken depends on the processor and on the shapes,
and on nothing else, so that a machine always rounds alike.
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
    linear = onednn() if a.dtype == b.dtype == torch.float32 and a.device.type == "cpu" else None
    if linear is None or not a.numel() or not b.numel():
        return F.linear(a, b, bias)
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in (a, b, bias)):
        return cast(Any, _Product).apply(a, b, bias)
    return linear(a, b, bias, "none", [], "")


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
    """The way back is two products of the same kind."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(a, b)
        return onednn()(a, b, bias, "none", [], "")

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        a, b = ctx.saved_tensors
        grad = grads[0]
        rows = grad.flatten(0, -2)  # (N, m)
        to_a = inner(grad, b.T) if ctx.needs_input_grad[0] else None
        to_b = inner(rows.T, a.flatten(0, -2).T) if ctx.needs_input_grad[1] else None
        return to_a, to_b, rows.sum(0) if ctx.needs_input_grad[2] else None
