"""Several processes at one task: which of them this is, and how they wait for each other.

`torchrun` and `accelerate launch` tell each process its number through the environment; without
them there is one.
"""

from __future__ import annotations

import atexit
import os
from typing import Any


def rank() -> int:
    """This process' number."""
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def first() -> bool:
    """Whether this is the process that writes what all of them share."""
    return rank() == 0


def wait() -> None:
    """Go on when every process has come this far."""
    if world() > 1:
        join().barrier()


def gather(value: Any) -> list[Any]:
    """What every process has, in the order of their numbers, on all of them."""
    if world() == 1:
        return [value]
    distributed = join()
    out: list[Any] = [None] * world()
    distributed.all_gather_object(out, value)
    return out


def join() -> Any:
    """torch.distributed, with all processes of this task in one group."""
    from datetime import timedelta

    import torch
    import torch.distributed as distributed

    if not distributed.is_initialized():  # a slow process is no dead one: launchers see to those
        backend = "gloo"
        if torch.cuda.is_available():
            local = int(os.environ.get("LOCAL_RANK", "0"))
            torch.cuda.set_device(local % torch.cuda.device_count())
            backend = "cpu:gloo,cuda:nccl"
        distributed.init_process_group(backend, timeout=timedelta(days=1))
        atexit.register(distributed.destroy_process_group)  # its threads must not outlive Python
    return distributed
