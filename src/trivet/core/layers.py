"""A model's layers on a CPU by functions of ours: products, also those in bf16, and dropout."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from trivet.core.dropout import dropout
from trivet.core.inner import inner, onednn

_LEAST = 1 << 26  # multiplications; below it, compiling a kernel for a new shape costs too much


def fast_layers(*, learning: bool = False) -> AbstractContextManager[Any]:
    """While this is open, layers on a CPU run by functions of ours, where that helps.

    For a model that is `learning` on a CPU it always does; for others only products in fp32 where
    another library is faster, and products in bf16 where torch has none that is fast.
    """
    return _Layers() if learning or onednn() or bf16_is_slow() else nullcontext()


@cache
def bf16_is_slow() -> bool:
    """Whether torch has no library for products in bf16 on this CPU (without AVX-512): they
    then take many times as long as in fp32."""
    known: Any = torch.ops.mkldnn
    return not known._is_mkldnn_bf16_supported()


class _Layers(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        own: Callable[..., Any] = _OWN.get(func) or func
        return own(*args, **(kwargs or {}))


def _linear(input: Any, weight: Any, bias: Any = None) -> Any:  # noqa: A002 - torch's name
    if _widens(input, weight):
        return _widened(_linear, input, weight, bias)
    plain = type(input) is Tensor and input.dtype in (torch.float32, torch.bfloat16)
    low = torch.is_autocast_enabled("cpu")
    large = plain and input.numel() * len(weight) >= _LEAST
    if not large or (low and not torch.is_grad_enabled()):
        return F.linear(input, weight, bias)
    if low:
        dtype = torch.get_autocast_dtype("cpu")
        input, weight = input.to(dtype), weight.to(dtype)  # noqa: A001
        bias = None if bias is None else bias.to(dtype)
    return inner(input, weight, bias)


def _matmul(a: Any, b: Any) -> Any:
    return _widened(torch.matmul, a, b) if _widens(a, b) else torch.matmul(a, b)


def _widens(a: Any, b: Any) -> bool:
    """Whether a product would be in bf16 where that is slow."""
    if not bf16_is_slow() or a.device.type != "cpu" or b.device.type != "cpu":
        return False
    if torch.is_autocast_enabled("cpu"):
        low = torch.get_autocast_dtype("cpu") == torch.bfloat16
        return low and torch.float64 not in (a.dtype, b.dtype)
    return a.dtype == b.dtype == torch.bfloat16


def _widened(product: Callable[..., Any], *factors: Tensor | None) -> Any:
    """A product of numbers in bf16, summed in fp32 and rounded: what the units for bf16 do."""
    with torch.autocast("cpu", enabled=False):
        wide = (None if x is None else x.to(torch.bfloat16).float() for x in factors)
        return product(*wide).to(torch.bfloat16)


_OWN: dict[Any, Callable[..., Any]] = {
    F.linear: _linear,
    F.dropout: dropout,
    torch.matmul: _matmul,
    Tensor.matmul: _matmul,
}
