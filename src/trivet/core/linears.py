"""A model's linear layers in fp32 on a CPU, through the faster library (`inner`)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from trivet.core.inner import inner, onednn

_LEAST = 1 << 26  # multiplications; below it, compiling a kernel for a new shape costs too much


def fast_linears() -> AbstractContextManager[Any]:
    """While this is open, large `F.linear` calls in fp32 take the faster library, if there is one.

    Under autocast, on a GPU and on other processors nothing changes.
    """
    return _Linears() if onednn() else nullcontext()


class _Linears(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.linear and not torch.is_autocast_enabled("cpu"):
            return _linear(*args, **kwargs)
        return func(*args, **kwargs)


def _linear(input: Any, weight: Any, bias: Any = None) -> Any:  # noqa: A002 - torch's name
    plain = type(input) is torch.Tensor and input.dtype == torch.float32
    large = plain and input.numel() * len(weight) >= _LEAST
    return inner(input, weight, bias) if large else F.linear(input, weight, bias)
