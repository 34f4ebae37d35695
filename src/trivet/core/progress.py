"""Progress of long loops: a bar on a terminal, plain lines elsewhere; always a rate and an end."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from trivet.core.ranks import rank


class Progress:
    """Counts what is done of a total, on standard error."""

    def __init__(self, what: str, total: int, unit: str = "it", *, every: float = 10.0) -> None:
        """Begin a loop over `total` units; without a terminal a line is printed `every` seconds."""
        self.what, self.total, self.unit, self.every = what, total, unit, every
        self.done, self.note = 0, ""
        self.started = self.printed = time.monotonic()
        self.bar: Any = None
        if sys.stderr.isatty() and rank() == 0:
            from tqdm import tqdm

            self.bar = tqdm(
                total=total or None, desc=what, unit=unit, leave=False, dynamic_ncols=True
            )

    def __enter__(self) -> Progress:
        """Use it in a with block, so that the bar is closed however the loop ends."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the bar."""
        if self.bar is not None:
            self.bar.close()

    def add(self, count: int = 1, note: str = "") -> None:
        """Count units as done, with a short note such as the loss."""
        self.done += count
        self.note = note or self.note
        if self.bar is not None:
            self.bar.set_postfix_str(self.note, refresh=False)
            self.bar.update(count)
            return
        now = time.monotonic()
        if now - self.printed >= self.every and rank() == 0:
            self.printed = now
            print(self.line(now - self.started), file=sys.stderr, flush=True)  # noqa: T201

    def line(self, seconds: float) -> str:
        """The plain line: done, rate, and seconds left where the total is known."""
        rate = self.done / seconds if seconds > 0 else 0.0
        note = f"  {self.note}" if self.note else ""
        if not self.total:
            return f"{self.what}: {self.done}  {rate:.1f} {self.unit}/s{note}"
        left = f"{(self.total - self.done) / rate:.0f} s left" if rate else "…"
        return f"{self.what}: {self.done}/{self.total}  {rate:.1f} {self.unit}/s  {left}{note}"
