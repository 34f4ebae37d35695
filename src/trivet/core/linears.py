"""A model's linear layers on a CPU, by products of ours (`inner`)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from trivet.core.inner import inner, onednn

_LEAST = 1 << 26  # multiplications; below it, compiling a kernel for a new shape costs too much


def fast_linears(*, learning: bool = False) -> AbstractContextManager[Any]:
    """While this is open, large `F.linear` calls on a CPU are products of ours, where that helps.

    In fp32 it does where another library is faster; for a model that is `learning` on a CPU,
    always.
    """
    return _Linears() if learning or onednn() else nullcontext()


class _Linears(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        return _linear(*args, **kwargs) if func is F.linear else func(*args, **kwargs)


def _linear(input: Any, weight: Any, bias: Any = None) -> Any:  # noqa: A002 - torch's name
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
