"""Several processes at one task: which of them this is, and how they wait for each other.

`torchrun` and `accelerate launch` tell each process its number through the environment; without
them there is one.
"""

from __future__ import annotations

import os
from typing import Any


def rank() -> int:
    """This process' number."""
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def wait() -> None:
    """Go on when every process has come this far."""
    if world() > 1:
        _join().barrier()


def gather(value: Any) -> list[Any]:
    """What every process has, in the order of their numbers, on all of them."""
    if world() == 1:
        return [value]
    distributed = _join()
    out: list[Any] = [None] * world()
    distributed.all_gather_object(out, value)
    return out


def _join() -> Any:
    from datetime import timedelta

    import torch.distributed as distributed

    if not distributed.is_initialized():  # a slow process is no dead one: launchers see to those
        distributed.init_process_group("gloo", timeout=timedelta(days=1))
    return distributed
