"""One seed for all that draws: Python, NumPy, torch, and named streams derived from it."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch (all devices): same seed and CPU, same bits."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def derive(seed: int, *names: str | int) -> int:
    """A seed of its own for a named purpose, so that two streams never share their draws."""
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def random_state() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The state of every generator, as tensors and as JSON, without pickle."""
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    version, words, gauss = random.getstate()
    tensors = {"torch": torch.get_rng_state(), "numpy": torch.from_numpy(np.asarray(keys).copy())}
    tensors["python"] = torch.tensor(words, dtype=torch.int64)
    if torch.cuda.is_available():
        tensors["cuda"] = torch.cuda.get_rng_state()
    numpy = {"kind": kind, "position": position, "has_gauss": has_gauss, "cached": cached}
    return tensors, {"numpy": numpy, "python": {"version": version, "gauss": gauss}}


def restore_random_state(tensors: dict[str, torch.Tensor], rest: dict[str, Any]) -> None:
    """Put every generator back where `random_state` found it."""
    numpy, python = rest["numpy"], rest["python"]
    torch.set_rng_state(tensors["torch"])
    np.random.set_state(
        (
            numpy["kind"],
            tensors["numpy"].numpy(),
            numpy["position"],
            numpy["has_gauss"],
            numpy["cached"],
        )
    )
    random.setstate((python["version"], tuple(tensors["python"].tolist()), python["gauss"]))
    if "cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["cuda"])
