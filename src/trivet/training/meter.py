"""How fast training goes and what it waits for: measured all the time, so that it is known."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from typing import Any

import torch
from torch import nn

from trivet.core.ranks import world

# what a device multiplies at most in bf16, dense, in FLOP/s, by its makers' data sheets
_PEAKS = {
    "B200": 2250e12,
    "H200": 989e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "4090": 165e12,
    "A10": 125e12,
    "V100": 125e12,
}


class Meter:
    """Counts rows, tokens and seconds of steps, and those spent waiting for a batch."""

    def __init__(self, model: nn.Module) -> None:
        """Begin to count."""
        embeddings = {
            id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)
        }
        weights = (p for p in model.parameters() if id(p) not in embeddings)
        self.weights = sum(p.numel() for p in weights)
        self.device = next(model.parameters()).device
        self.seconds: list[float] = []
        self.rows = self.tokens = 0  # of this rank, since the last report
        self.counted = self.total_rows = self.total_tokens = 0
        self.waited = self.total_waited = 0.0
        self.ended = time.monotonic()

    def begin(self) -> None:
        """The first step begins now."""
        self.ended = time.monotonic()

    def add(self, rows: int, tokens: int, waited: float) -> None:
        """A batch came, after so many seconds of waiting."""
        self.rows, self.tokens, self.waited = (
            self.rows + rows,
            self.tokens + tokens,
            self.waited + waited,
        )

    def step(self) -> None:
        """A step ended: from end to end, so that waiting counts."""
        now = time.monotonic()
        self.seconds.append(now - self.ended)
        self.ended = now

    def report(self) -> dict[str, float]:
        """Rates since the last report, of all ranks, for the log."""
        seconds = sum(self.seconds[self.counted :])
        found = self._rates(self.rows, self.tokens, seconds, self.waited)
        self.counted = len(self.seconds)
        self.total_rows += self.rows
        self.total_tokens += self.tokens
        self.total_waited += self.waited
        self.rows = self.tokens = 0
        self.waited = 0.0
        return found

    def facts(self) -> dict[str, Any]:
        """What the manifest says of the whole run; the first step, which warms up, is in it."""
        self.report()
        rates = self._rates(
            self.total_rows, self.total_tokens, sum(self.seconds), self.total_waited
        )
        return {
            "seconds_per_step": statistics.median(self.seconds[1:] or self.seconds or [0.0]),
            **rates,
            "peak_memory_gib": round(peak_memory(self.device) / 2**30, 3),
        }

    def _rates(self, rows: int, tokens: int, seconds: float, waited: float) -> dict[str, float]:
        if seconds <= 0:
            return {}
        rates = {
            "rows_per_second": rows * world() / seconds,
            "tokens_per_second": tokens * world() / seconds,
            "waiting_share": min(1.0, waited / seconds),
        }
        peak = _peak(self.device)
        if peak:  # of a rank: 2 FLOP a weight and token forward, 4 backward
            rates["mfu"] = 6 * self.weights * tokens / seconds / peak
        return {name: float(f"{value:.4g}") for name, value in rates.items()}


def peak_memory(device: torch.device) -> int:
    """The most bytes that were in use: on a GPU its own, else the process'."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _peak(device: torch.device) -> float | None:
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in _PEAKS.items() if part in name), None)
