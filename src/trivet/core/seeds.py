"""One seed for all that draws: Python, NumPy, torch, and named streams derived from it."""

from __future__ import annotations

import random

import numpy as np
import torch

from trivet.core.hashing import text_number


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch (all devices): same seed and CPU, same bits."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def derive(seed: int, *names: str | int) -> int:
    """A seed of its own for a named purpose, so that two streams never share their draws."""
    return text_number("/".join(str(part) for part in (seed, *names)))
