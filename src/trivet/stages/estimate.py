"""How long a run would take here: a few real steps of each stage, timed and thrown away."""

from __future__ import annotations

import dataclasses
import tempfile

from trivet.stages.pipeline import run
from trivet.stages.plan import Step, Train

_STEPS = 6


def estimate(train: Train, steps: list[Step]) -> list[str]:
    """One line for each stage that would run."""
    out: list[str] = []
    for step in steps:
        if step.action != "run":
            continue
        if out:
            out.append(f"{step.name}: cannot be timed before the stage that feeds it is made")
            continue
        fit = dataclasses.replace(step.stage.fit, steps=_STEPS, save_every=10**9)
        stage = dataclasses.replace(step.stage, fit=fit)  # pyright: ignore
        with tempfile.TemporaryDirectory(prefix="trivet-estimate-") as folder:
            trial = dataclasses.replace(train, out=folder, cache=str(train.cache_folder))
            made = run(trial, [dataclasses.replace(step, stage=stage)], {})
            assert made is not None
            facts = made.manifest["training"]
        planned = facts["steps_available"]
        if step.stage.fit.steps is not None:
            planned = min(planned, step.stage.fit.steps)
        seconds = facts["seconds_per_step"]
        out.append(
            f"{step.name}: {planned} steps of {seconds:.2f} s here, "
            f"about {planned * seconds / 3600:.2f} h, dev checks and saving not counted"
        )
    return out
