"""A run that is killed, at any moment and in the middle of any file, ends as one that was not."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def zygote(zygote_of):
    return zygote_of("zygote.py")


@pytest.fixture(scope="module")
def unbroken(zygote):
    """The state files of a run that nothing disturbed, how long it took, and how much it wrote."""
    folder = zygote.root / "unbroken"
    assert zygote.finish(folder) == 0
    began = time.monotonic()
    again = zygote.root / "timed"
    assert zygote.finish(again) == 0
    seconds = time.monotonic() - began
    assert state(again) == state(folder)
    last = next((folder / "out").glob("runs/*/pretrain/step-00000004"))
    size = sum(path.stat().st_size for path in last.iterdir())
    return state(folder), seconds, 4 * size


def state(folder: Path) -> dict[str, str]:
    """The sha256 of all that training leaves, less what a clock says."""
    out: dict[str, str] = {}
    for pattern in ("runs/*/pretrain/**/*", "artifacts/*/**/*"):
        for path in sorted((folder / "out").glob(pattern)):
            if path.is_file() and path.name not in ("manifest.json", "speed.jsonl"):
                name = path.relative_to(folder / "out").as_posix()
                out[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    assert any("step-00000004/optimizer" in name for name in out)
    assert any(name.endswith("model.safetensors") and "artifacts" in name for name in out)
    return out


@pytest.mark.parametrize("trial", range(10))
def test_a_run_killed_while_saving_ends_as_an_unbroken_run(zygote, unbroken, trial):
    expected, _, size = unbroken
    folder = zygote.root / f"paused-{trial}"
    zygote.kill_when_paused(folder, random.Random(trial).randrange(size))
    assert zygote.finish(folder) == 0
    assert state(folder) == expected


@pytest.mark.parametrize("trial", range(10))
def test_a_run_killed_at_a_random_moment_ends_as_an_unbroken_run(zygote, unbroken, trial):
    expected, seconds, _ = unbroken
    folder = zygote.root / f"random-{trial}"
    pid = zygote.start(folder)
    delay = random.Random(100 + trial).uniform(0, seconds)
    timer = threading.Timer(delay, lambda: os.kill(pid, signal.SIGKILL))
    timer.start()
    assert int(zygote.line()) in (-signal.SIGKILL, 0)
    timer.cancel()
    assert zygote.finish(folder) == 0
    assert state(folder) == expected


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_saves_and_ends_and_the_next_run_goes_on(zygote, unbroken, number):
    expected, _, _ = unbroken
    folder = zygote.root / f"signal-{number}"
    pid = zygote.start(folder)
    give_up = time.monotonic() + 60
    while not list((folder / "out").glob("runs/*/pretrain/step-*")):
        assert time.monotonic() < give_up
        time.sleep(0.002)
    os.kill(pid, number)
    status = int(zygote.line())
    assert status in (128 + number, 0)  # 0: it was done before the signal came
    (said,) = (folder / "out").glob("runs/*/manifest.json")
    assert json.loads(said.read_text())["state"] == ("interrupted" if status else "finished")
    assert zygote.finish(folder) == 0
    assert state(folder) == expected


def test_a_damaged_checkpoint_is_passed_over(zygote, unbroken):
    expected, _, _ = unbroken
    folder = zygote.root / "damaged"
    assert zygote.finish(folder) == 0
    last = next((folder / "out").glob("runs/*/pretrain/step-00000004"))
    with (last / "optimizer.safetensors").open("r+b") as stream:
        stream.seek(500)
        stream.write(b"\xff")
    for artifact in (folder / "out" / "artifacts").glob("pretrain-*"):
        (artifact / "manifest.json").unlink()
    assert zygote.finish(folder) == 0
    assert state(folder) == expected
