"""Runs are judged by what finished ones of their sweep logged, and by nothing else."""

import json
from types import SimpleNamespace

import pytest

from trivet.core.errors import ConfigError, GivenUp
from trivet.core.files import write_json
from trivet.core.hopeless import Hopeless
from trivet.stages.judge import at_step, judge


@pytest.fixture
def sweep(tmp_path):
    """A function that leaves a run of the sweep as it would be found."""

    def leave(number, state, losses, stage="colbert"):
        folder, run = tmp_path / "sweep" / f"{number:04d}", tmp_path / f"run{number}"
        folder.mkdir(parents=True)
        (run / stage).mkdir(parents=True)
        lines = [json.dumps({"step": step, "loss": loss}) for step, loss in losses.items()]
        (run / stage / "metrics.jsonl").write_text("\n".join(lines))
        write_json(folder / "state.json", {"state": state})
        write_json(folder / "where.json", {"run": str(run)})

    return leave


def train(tmp_path, **fields):
    told = {
        "hopeless": Hopeless(least=2),
        "sweep": SimpleNamespace(folder=str(tmp_path / "sweep")),
        "objective": "loss",
        "until": None,
        "stages": {"start": None, "colbert": None},
    }
    return SimpleNamespace(**(told | fields))


def test_only_finished_runs_that_logged_the_step_count(sweep, tmp_path):
    sweep(0, "finished", {5: 1.0, 10: 0.5})
    sweep(1, "running", {5: 7.0})
    sweep(2, "failed", {5: 8.0})
    sweep(3, "finished", {5: 2.0})
    sweep(4, "finished", {5: 9.0}, stage="pretrain")
    folder = tmp_path / "sweep"
    assert at_step(folder, "colbert", 5, "loss") == [1.0, 2.0]
    assert at_step(folder, "colbert", 10, "loss") == [0.5]
    assert at_step(folder, "colbert", 5, "dev/ndcg@10") == []


def test_a_run_that_is_behind_ends_with_its_last_value_as_the_objective(sweep, tmp_path):
    sweep(0, "finished", {5: 1.0})
    sweep(1, "finished", {5: 2.0})
    look = judge(train(tmp_path))
    look("colbert", 5, {"loss": 1.4})
    look("pretrain", 5, {"loss": 99.0})  # a stage that is not under study
    look("colbert", 6, {"loss": 99.0})  # a step that nobody logged
    look("colbert", 5, {"grad": 99.0})
    with pytest.raises(GivenUp, match="loss is 3 at step 5, and 2 finished runs had 1.5") as ended:
        look("colbert", 5, {"loss": 3.0})
    assert ended.value.value == 3.0


def test_the_last_stage_that_runs_is_under_study(sweep, tmp_path):
    sweep(0, "finished", {5: 1.0}, stage="start")
    sweep(1, "finished", {5: 1.0}, stage="start")
    with pytest.raises(GivenUp):
        judge(train(tmp_path, until="start"))("start", 5, {"loss": 2.0})


def test_without_a_rule_or_a_sweep_there_is_no_judge_and_a_rule_needs_a_metric(tmp_path):
    assert judge(train(tmp_path, hopeless=None)) is None
    assert judge(train(tmp_path, sweep=None)) is None
    with pytest.raises(ConfigError, match="needs a metric of the training log"):
        judge(train(tmp_path, objective=""))
