"""Asked to stop: save first, then end. A second request ends at once."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_ASKS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT)


class Asked:
    """Remembers the signal that asked the run to stop, if one did."""

    signal: int | None = None


@contextmanager
def listening() -> Generator[Asked]:
    """Within the block SIGTERM, SIGUSR1, SIGUSR2 and SIGINT only set a flag, once."""
    asked = Asked()
    before: dict[int, Any] = {}

    def remember(number: int, frame: FrameType | None) -> None:
        asked.signal = number
        for sign, handler in before.items():
            signal.signal(sign, handler)

    for sign in _ASKS:
        before[sign] = signal.signal(sign, remember)
    try:
        yield asked
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
