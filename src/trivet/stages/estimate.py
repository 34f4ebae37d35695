"""How long a run would take here: a few real steps of each stage, timed and thrown away."""

from __future__ import annotations

import dataclasses
import tempfile

from trivet.stages.pipeline import run
from trivet.stages.plan import Step, Train

_STEPS = 6


def estimate(train: Train, steps: list[Step]) -> list[str]:
    """One line for each stage that would be trained. What is finished is used as it is."""
    trials = [_short(step) if step.action == "run" else step for step in steps]
    out: list[str] = []
    with tempfile.TemporaryDirectory(prefix="trivet-estimate-") as folder:
        trial = dataclasses.replace(train, out=folder, cache=str(train.cache_folder))
        run(trial, trials, {})
        for step, short in zip(steps, trials, strict=True):
            made = trial.store.find(short.name, short.key)
            if made is None or step.stage.fit is None:
                continue
            facts = made.manifest["training"]
            planned = min(facts["steps_available"], step.stage.fit.steps or 10**12)
            seconds = facts["seconds_per_step"]
            out.append(
                f"{step.name}: {planned} steps of {seconds:.2f} s here, about "
                f"{planned * seconds / 3600:.2f} h, {facts['peak_memory_gib']:.1f} GiB; "
                "dev checks and saving are not counted"
            )
    return out


def _short(step: Step) -> Step:
    if step.stage.fit is None:
        return step
    steps = min(_STEPS, step.stage.fit.steps or _STEPS)
    fit = dataclasses.replace(step.stage.fit, steps=steps, save_every=10**9)
    return dataclasses.replace(step, stage=dataclasses.replace(step.stage, fit=fit))  # pyright: ignore
