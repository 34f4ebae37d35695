"""Too little memory is a reason to take smaller bites, not to die."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import torch

from trivet.core.errors import TrivetError

log = logging.getLogger("trivet")
Out = TypeVar("Out")
_SMALLEST = 64


def halving(work: Callable[[int], Out], budget: int, what: str) -> tuple[Out, int]:
    """Do the work with a budget, and with half of it after each time the memory runs out."""
    while True:
        try:
            return work(budget), budget
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            if budget // 2 < _SMALLEST:
                fix = "Free some, or use shorter lengths"
                raise TrivetError("the memory runs out", where=what, fix=fix) from None
        budget //= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        log.warning("%s: the memory ran out; going on with half the budget, %d", what, budget)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or not."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)
