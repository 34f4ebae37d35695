"""An evaluation that is killed, at any moment and in the middle of any file, ends as one that was
not; so does one that two processes share."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from trivet.bench.ledger import Ledger
from trivet.bench.trec import read_lines

ITS_OWN = ("id", "time", "seconds", "hardware", "per_query", "ranking")  # of a run, not of a result


@pytest.fixture(scope="module")
def zygote(zygote_of):
    return zygote_of("evaluator.py")


@pytest.fixture(scope="module")
def unbroken(zygote):
    """What an evaluation leaves that nothing disturbed, how long it took, how much it wrote."""
    folder = zygote.root / "unbroken"
    assert zygote.finish(folder) == 0
    began = time.monotonic()
    assert zygote.finish(zygote.root / "timed") == 0
    seconds = time.monotonic() - began
    found = results(folder)
    assert len(found) == 1 and results(zygote.root / "timed") == found
    shards = list(folder.rglob("*.safetensors"))
    assert len(shards) == 15
    kept = [*shards, *folder.rglob("per_query/*.json"), *folder.rglob("rankings/*.gz")]
    return found[0], seconds, sum(path.stat().st_size for path in kept)


def results(folder: Path) -> list[tuple]:
    """Every row of the ledger with its scores and its ranking, less what is of the run alone."""
    path, out = folder / "results" / "ledger.jsonl", []
    for row in Ledger(path).read():  # a torn line would be an error
        per_query = json.loads((path.parent / row["per_query"]).read_text())
        lines = read_lines(path.parent / row["ranking"])
        ranking = [(line.query, line.document, line.rank, line.score) for line in lines]
        out.append(({k: v for k, v in row.items() if k not in ITS_OWN}, per_query, ranking))
    return out


@pytest.mark.parametrize("trial", range(10))
def test_one_killed_at_a_random_moment_leaves_the_row_of_an_unbroken_one(zygote, unbroken, trial):
    expected, seconds, _ = unbroken
    folder = zygote.root / f"random-{trial}"
    pid = zygote.start(folder)
    delay = random.Random(trial).uniform(0, seconds)
    timer = threading.Timer(delay, lambda: os.kill(pid, signal.SIGKILL))
    timer.start()
    status = int(zygote.line())
    timer.cancel()
    assert status in (-signal.SIGKILL, 0)
    before = results(folder)
    assert zygote.finish(folder) == 0
    found = results(folder)
    assert len(found) == len(before) + 1 and all(one == expected for one in found)


@pytest.mark.parametrize("trial", range(10))
def test_one_killed_while_it_writes_leaves_the_row_of_an_unbroken_one(zygote, unbroken, trial):
    expected, _, size = unbroken
    folder = zygote.root / f"paused-{trial}"
    at = random.Random(trial).randrange(size // 10 * trial, size // 10 * (trial + 1))
    zygote.kill_when_paused(folder, at)
    assert results(folder) == []
    whole = {path.name for path in folder.rglob("*.safetensors") if path.name[0] != "."}
    assert zygote.finish(folder) == 0
    assert results(folder) == [expected]
    assert whole <= {path.name for path in folder.rglob("*.safetensors")}


def test_one_killed_again_and_again_goes_on_where_it_stopped(zygote, unbroken):
    expected, _, size = unbroken
    folder = zygote.root / "again"
    for part in range(5):
        (folder / "paused").unlink(missing_ok=True)
        zygote.kill_when_paused(folder, size // 8)
        assert len([p for p in folder.rglob("*.safetensors") if p.name[0] != "."]) > part
    assert zygote.finish(folder) == 0
    assert results(folder) == [expected]


def test_two_processes_leave_the_one_row_of_one_process(zygote, unbroken, free_port):
    (row, per_query, ranking), _, _ = unbroken
    folder = zygote.root / "two"
    env = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port)}
    env |= {"WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    script = str(Path(__file__).parent / "evaluator.py")
    command = [sys.executable, script, str(zygote.root), str(folder)]
    both = [
        subprocess.Popen(command, env=env | {"RANK": str(i)}, stdout=-1, stderr=-1, text=True)
        for i in range(2)
    ]
    for process in both:
        _, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
    ((row2, per_query2, ranking2),) = results(folder)
    assert row2 == row and per_query2 == per_query
    assert [line[:3] for line in ranking2] == [line[:3] for line in ranking]
    assert [line[3] for line in ranking2] == pytest.approx([line[3] for line in ranking], abs=1e-5)
    assert 0 < row["retriever"]["truncated_query_share"] < 1
