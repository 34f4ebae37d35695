"""A model's linear layers and its dropout on a CPU, by functions of ours (`inner`, `dropout`)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
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

    For a model that is `learning` on a CPU it always does; for others only products in fp32, and
    where another library is faster.
    """
    return _Layers() if learning or onednn() else nullcontext()


class _Layers(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        own = _linear if func is F.linear else dropout if func is F.dropout else func
        return own(*args, **(kwargs or {}))


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
