"""Several processes for one run: started together, and ended together.

What `torchrun` does without restarts, less its log lines, and with what it lacks: signals, SIGUSR1
too, go to every rank once, so that all save and stop; when one rank dies the others are ended and
its exit status is the run's. On several nodes each starts its own ranks.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

log = logging.getLogger("trivet")
_GRACE = 30.0  # seconds that ranks have to end once one of them has died
_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
LOST = 75  # the exit status of a rank that only lost another one


@dataclass(frozen=True)
class Nodes:
    """The machines of a run: this one's number, how many, and where the first can be reached."""

    number: int
    count: int
    address: str
    port: int


def launch(command: Sequence[str], processes: int, nodes: Nodes | None = None) -> int:
    """Run a command as so many ranks; returns the exit status of the first that failed, else 0."""
    nodes = nodes or Nodes(0, 1, "127.0.0.1", free_port())
    ranks: list[subprocess.Popen[bytes]] = []
    with _signals(ranks):
        for rank in range(processes):
            place = {
                "RANK": nodes.number * processes + rank,
                "LOCAL_RANK": rank,
                "WORLD_SIZE": nodes.count * processes,
                "LOCAL_WORLD_SIZE": processes,
                "MASTER_ADDR": nodes.address,
                "MASTER_PORT": nodes.port,
            }
            threads = str(max(1, (os.cpu_count() or 1) // processes))
            environment = {"OMP_NUM_THREADS": threads, **os.environ}
            environment |= {name: str(value) for name, value in place.items()}
            # a session of its own: a signal from the terminal comes through here, once
            ranks.append(subprocess.Popen(command, env=environment, start_new_session=True))
        try:
            return _wait(ranks)
        finally:
            _end(ranks, _GRACE)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait(ranks: list[subprocess.Popen[bytes]]) -> int:
    """Until all have ended, or one has failed."""
    while True:
        codes = [rank.poll() for rank in ranks]
        failed = [code for code in codes if code]
        if any(code != LOST for code in failed):
            number, code = next((i, c) for i, c in enumerate(codes) if c and c != LOST)
            if code < 0:  # it could say nothing itself
                name = signal.Signals(-code).name
                hint = " (out of memory?)" if -code == signal.SIGKILL else ""
                log.error("local rank %d was ended by %s%s", number, name, hint)
            return _status(code)
        if None not in codes:
            return failed[0] if failed else 0
        if failed:  # it lost a rank that has yet to be seen dead
            _end(ranks, _GRACE)
        time.sleep(0.1)


def _end(ranks: list[subprocess.Popen[bytes]], grace: float) -> None:
    """Ask whoever is left to end, and after a while insist."""
    left = [rank for rank in ranks if rank.poll() is None]
    for rank in left:
        rank.send_signal(signal.SIGTERM)
    give_up = time.monotonic() + grace
    for rank in left:
        try:
            rank.wait(max(0.0, give_up - time.monotonic()))
        except subprocess.TimeoutExpired:
            rank.kill()
            rank.wait()


def _status(code: int) -> int:
    """The exit status as a shell tells it."""
    return 128 - code if code < 0 else code


@contextmanager
def _signals(ranks: list[subprocess.Popen[bytes]]) -> Generator[None]:
    """Pass signals on to all ranks."""

    def pass_on(number: int, frame: Any) -> None:
        for rank in ranks:
            if rank.poll() is None:
                rank.send_signal(number)

    before = {sign: signal.signal(sign, pass_on) for sign in _PASSED_ON}
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


def die_with_parent() -> None:
    """Let the system end this process when the one that started it is gone, however it went."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
