"""Optuna chooses the runs, and hears of each what the store says; a launcher that only writes."""

from __future__ import annotations

import pytest

from trivet.cli import compose
from trivet.core.files import write_json
from trivet.sweep import submit as submitting
from trivet.sweep.record import Status
from trivet.sweep.submit import Asked, submit

WORDS = [
    "+exp=tiny",
    "objective=loss",
    "hydra/sweeper=optuna",
    "hydra/sweeper/sampler=random",
    "hydra.sweeper.sampler.seed=1",
    "hydra.sweeper.n_trials=6",
    "hydra.sweeper.n_jobs=2",
    "stages.colbert.optim.lr=tag(log,interval(1e-4,1e-2))",
    "seed=7",
]


@pytest.mark.parametrize("state", ["finished", "stopped"])
def test_optuna_asks_for_runs_and_is_told_their_objectives(state, tmp_path, monkeypatch):
    batches = []

    def launcher(launch, sweep):
        def begin(elements):
            batches.append(elements)
            for record in sweep.records()[-2:]:
                (word,) = record.member["overrides"]
                loss = float(word.partition("=")[2])
                write_json(record.folder / "result.json", {"objective": loss})
                record.write(Status(state, "", 1))

        return begin

    monkeypatch.setattr(submitting, "launcher", launcher)
    compose.prepare()
    words = [*WORDS, f"out={tmp_path}"]
    made = submit(Asked(words, "the command", False), compose.container).sweep
    rates = [record.member["level"]["stages.colbert.optim.lr"] for record in made.records()]
    assert len(rates) == 6 and len(batches) == 3 and all(1e-4 <= rate <= 1e-2 for rate in rates)
    text = (made.folder / "optimization_results.yaml").read_text()
    assert f"best_value: {min(rates)}" in text
    again = submit(Asked(words, "the command", False), compose.container).sweep
    assert again.id == made.id and len(again.records()) == 6
    assert len(batches) == 3  # all of them are in the store
