"""Inner products in fp32, by the faster of torch's two CPU libraries.

`a @ b.T` goes to MKL, which leaves more than half of an AMD processor's fp32 speed unused; the same
sums through oneDNN, also a part of torch, take it (experiments/002). Which one is taken depends on
the processor and on nothing else, so that a machine always rounds alike.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from trivet.core.machine import hardware


def inner(a: Tensor, b: Tensor) -> Tensor:
    """(n, m): each row of (n, D) with each row of (m, D), in the precision that both have."""
    learning = torch.is_grad_enabled() and (a.requires_grad or b.requires_grad)
    plain = a.dtype == torch.float32 and a.device.type == "cpu" and a.numel() and b.numel()
    linear = _linear() if plain and not learning else None
    return a @ b.T if linear is None else linear(a, b, None, "none", [], "")


@cache
def _linear() -> Any:
    """oneDNN's product where it is the faster one, and this torch has it."""
    if "AMD" not in hardware()["cpu"] or not torch.backends.mkldnn.is_available():
        return None
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None)
