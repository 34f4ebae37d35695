"""A sweep on a real Slurm that is killed and requeued leaves what an undisturbed one does."""

from __future__ import annotations

import random
import subprocess
import time

from world import GRID, SLURM, alive, at_work, kill, processes, wait_for


def time_is_up(record):
    """What Slurm sends before it ends a job; submitit then puts the job back into the queue."""
    assert record.status().attempt == 1
    subprocess.Popen(["scancel", "--signal=USR2", record.status().job], stderr=subprocess.DEVNULL)
    # not waited for: it tries again for a minute, because the job is in the queue by then


def test_a_sweep_that_was_killed_and_requeued_leaves_the_rows_of_an_undisturbed_one(
    slurm, world, calm
):
    words = world.words(*SLURM, *GRID)
    rng, killed = random.Random(0), {}
    process = world.start("storm", *words)
    sweep = wait_for(lambda: world.begun("storm"))
    (first, *_) = wait_for(lambda: at_work(sweep, "pretrain"))
    killed[first.number] = "while it makes what all share"
    kill(first)
    others = wait_for(lambda: [x for x in at_work(sweep, "colbert") if x.number not in killed])
    told = others[0]
    time_is_up(told)
    while len(killed) < 4:
        left = [one for one in wait_for(lambda: alive(sweep))
                if one.number not in killed and one.number != told.number]  # fmt: skip
        if left:
            one = rng.choice(left)
            if len(killed) == 3:  # the node is lost: the element goes, too
                subprocess.run(["scancel", "--signal=KILL", one.status().job])
                wait_for(lambda one=one: not processes(one))
            else:
                kill(one)
            killed[one.number] = "at a random moment"
        time.sleep(rng.uniform(0, 0.5))
    out = process.communicate(timeout=1500)[0]
    assert process.returncode == 1, out
    states = {one.number: one.status() for one in sweep.records()}
    assert {n for n, one in states.items() if one.state != "finished"} == set(killed), out
    assert "SIGKILL: out of memory, or by hand" in out
    assert states[told.number].attempt == 2
    assert "weights and optimiser restored" in told.log.read_text()

    again = world.run("storm", "sweep", "retry", sweep.id)
    assert "12 finished" in again
    assert world.rows("storm") == calm
    assert "goes on from what" in "".join(one.log.read_text() for one in sweep.records())

    before = [one.status().attempt for one in sweep.records()]
    assert "12 of them finished" in world.run("storm", *words)
    assert [one.status().attempt for one in sweep.records()] == before
    assert len(world.rows("storm")) == 12


def test_elements_hold_several_runs_and_a_dry_run_shows_the_header(slurm, world):
    words = world.words(*SLURM, "seed=1,2,3", "--pack", "2", "machine.launch.at_once=2")
    shown = world.run("packed", *words, "--dry-run")
    assert "3 runs in 2 elements of at most 2, 2 at the same time" in shown
    assert "#SBATCH --array=0-1%2" in shown and "#SBATCH --signal=USR2@30" in shown
    assert "unknown, none of 4 trainings was timed" in shown
    assert not (world.root / "packed/outputs").exists()
    world.run("packed", *words)
    jobs = [record.status().job for record in world.sweep("packed").records()]
    assert jobs[0] == jobs[1] != jobs[2]
    assert len(world.rows("packed")) == 3


def test_a_cancelled_sweep_saves_and_ends_and_can_be_taken_up_again(slurm, world):
    words = world.words(*SLURM, "seed=range(4)")
    process = world.start("cancelled", *words)
    sweep = wait_for(lambda: world.begun("cancelled"))
    wait_for(lambda: at_work(sweep, "pretrain"))
    process.kill()  # the terminal is gone
    said = world.run("cancelled", "sweep", "cancel", sweep.id)
    assert "are asked to save and end" in said
    wait_for(
        lambda: all(one.status().state in ("cancelled", "finished") for one in sweep.records())
    )
    wait_for(lambda: not subprocess.run(["squeue", "-h"], capture_output=True).stdout.strip())
    shown = world.run("cancelled", "sweep", "status")
    assert sweep.id in shown and "cancelled" in shown
    world.run("cancelled", "sweep", "retry", sweep.id)
    assert len(world.rows("cancelled")) == 4
