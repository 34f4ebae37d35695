"""One process at a time in a folder, and no lock left behind by a dead one."""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from trivet.core.errors import TrivetError

log = logging.getLogger("trivet")
_QUIET = 2.0  # seconds of waiting that nobody notices


@contextmanager
def only_one(path: Path, *, wait: float = 0.0, what: str = "this folder") -> Generator[None]:
    """Hold an advisory lock on a file; the system releases it when the process dies, however."""
    path.parent.mkdir(parents=True, exist_ok=True)
    began, told = time.monotonic(), False
    with path.open("a") as stream:
        while True:
            try:
                fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                waited = time.monotonic() - began
                if waited >= wait:
                    fix = "Wait for it to end, or stop it"
                    raise TrivetError(
                        f"another process is at work in {what}", where=str(path.parent), fix=fix
                    ) from None
                if waited > _QUIET and not told:
                    log.info("another process is at work in %s (%s): waiting", what, path.parent)
                    told = True
                time.sleep(0.05)
        yield
