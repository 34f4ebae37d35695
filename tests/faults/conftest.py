"""A process that has imported everything, and forks one that works for each order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent


class Zygote:
    """The parent of working processes; see zygote.py for what passes between them."""

    def __init__(self, script: str, root: Path) -> None:
        self.root = root
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / script), str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
        )
        assert self.line() == "ready"

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def start(self, folder: Path, pause_at: int | None = None) -> int:
        assert self.process.stdin is not None
        order = {"folder": str(folder), "pause_at": pause_at}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self.line())

    def finish(self, folder: Path) -> int:
        """Work undisturbed; the exit status."""
        self.start(folder)
        return int(self.line())

    def kill_when_paused(self, folder: Path, pause_at: int) -> None:
        """Work up to that byte, and die there."""
        pid = self.start(folder, pause_at)
        give_up = time.monotonic() + 60
        while not (folder / "paused").exists() and time.monotonic() < give_up:
            time.sleep(0.005)
        os.kill(pid, signal.SIGKILL)
        assert int(self.line()) == -signal.SIGKILL
        assert (folder / "paused").exists()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


@pytest.fixture(scope="module")
def zygote_of(tmp_path_factory):
    """A function that starts the zygote of a script beside this file."""
    made: list[Zygote] = []

    def start(script: str) -> Zygote:
        made.append(Zygote(script, tmp_path_factory.mktemp("faults")))
        return made[-1]

    yield start
    for zygote in made:
        zygote.close()
