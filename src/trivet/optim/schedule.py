"""Learning-rate schedules: how much of the peak rate is used at a step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from trivet.core.errors import ConfigError


@dataclass
class Schedule:
    """Linear warm-up to the peak, then one of the usual descents."""

    shape: Literal["constant", "linear", "cosine", "inverse_sqrt", "wsd"] = "linear"
    """`wsd`: warm up, stay, then decay linearly over the last `decay` of the steps."""
    warmup: float = 0.0
    """Below 1 a share of all steps, else a number of steps."""
    floor: float = 0.0
    """The share of the peak that is left at the end (linear, cosine and wsd)."""
    decay: float = 0.1
    """The share of the steps that `wsd` decays over."""
    cycles: int = 1
    """How often all of it is gone through, each time over an equal share of the steps."""

    def __post_init__(self) -> None:
        """Refuse shares outside 0 to 1."""
        if self.warmup < 0:
            raise ConfigError("must not be negative", where="warmup")
        if self.cycles < 1:
            raise ConfigError("must be at least 1", where="cycles")
        for name in ("floor", "decay"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError("must lie between 0 and 1", where=name)

    def factor(self, step: int, steps: int) -> float:
        """The share of the peak rate at a step, counted from 0, of so many."""
        steps = math.ceil(steps / self.cycles)
        step = step % steps if self.cycles > 1 else step
        warmup = round(self.warmup * steps) if self.warmup < 1 else int(self.warmup)
        if step < warmup:
            return (step + 1) / warmup
        if self.shape == "constant":
            return 1.0
        if self.shape == "inverse_sqrt":
            return math.sqrt(max(1, warmup) / max(1, step + 1))
        start = warmup if self.shape != "wsd" else max(warmup, round(steps * (1 - self.decay)))
        done = min(1.0, max(0.0, (step - start) / max(1, steps - start)))
        left = 0.5 * (1 + math.cos(math.pi * done)) if self.shape == "cosine" else 1.0 - done
        return self.floor + (1.0 - self.floor) * left
