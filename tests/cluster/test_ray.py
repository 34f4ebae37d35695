"""The same sweep by Ray and by joblib, runs of it killed, leaves the rows of an undisturbed one."""

from __future__ import annotations

import pytest
from world import GRID, ON_CPU, alive, at_work, kill, wait_for

LAUNCHERS = {
    "ray": ["machine=ray", *ON_CPU],
    "joblib": ["machine=joblib", *ON_CPU],
}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_sweep_whose_runs_were_killed_leaves_the_rows_of_an_undisturbed_one(
    launcher, world, calm
):
    words = world.words(*LAUNCHERS[launcher], *GRID)
    process = world.start(launcher, *words)
    sweep = wait_for(lambda: world.begun(launcher))
    killed: set[int] = set()
    while len(killed) < 4:
        found = alive(sweep) if killed else at_work(sweep, "pretrain")
        left = [one for one in found if one.number not in killed]
        for one in left[:1]:
            kill(one)
            killed.add(one.number)
    out = process.communicate(timeout=1500)[0]
    assert process.returncode == 1, out
    failed = {one.number for one in sweep.records() if one.status().state == "failed"}
    assert failed == killed, out
    assert "12 finished" in world.run(launcher, "sweep", "retry", sweep.id)
    assert world.rows(launcher) == calm


def test_two_sweeps_at_once_share_what_they_share_and_leave_each_others_rows_alone(world):
    local = ["machine=local", *ON_CPU]
    both = [world.start("both", *world.words(*local, f"seed={seeds}")) for seeds in ("1,2", "2,3")]
    for process in both:
        out = process.communicate(timeout=1500)[0]
        assert process.returncode == 0, out
    outputs = world.root / "both/outputs"
    logs = [path.read_text() for path in outputs.glob("sweeps/*/*/log.txt")]
    assert len(logs) == 4
    for stage, count in (("start", 1), ("pretrain", 1), ("colbert", 3)):
        assert sum(log.count(f"{stage}: begins") for log in logs) == count
        assert len(list(outputs.glob(f"artifacts/{stage}-*"))) == count
    rows = world.rows("both")  # seed 2 is of both sweeps, and has a row in each
    assert sorted(row["seed"] for row in rows) == [1, 2, 2, 3]
