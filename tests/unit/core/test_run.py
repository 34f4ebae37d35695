"""A run's folder: held by one, complete at the end, and free of what a resumed run logs again."""

import json
import logging

import pytest

from trivet.core.artifact import Store
from trivet.core.errors import TrivetError
from trivet.core.lease import leased
from trivet.core.machine import Machine
from trivet.core.run import Run, Work


class Listening:
    """A tracker that remembers."""

    def __init__(self):
        self.heard, self.is_open = [], False

    def open(self, folder, name, config):
        self.is_open = True

    def log(self, metrics, step):
        self.heard.append((step, metrics))

    def close(self):
        self.is_open = False


@pytest.fixture
def run(tmp_path):
    return Run(
        folder=tmp_path / "run",
        name="a run",
        config={"seed": 1},
        store=Store(tmp_path / "artifacts"),
        cache=tmp_path / "cache",
        machine=Machine(device="cpu"),
        tracker=Listening(),
    )


@pytest.fixture
def work(run):
    return Work(run, "pretrain", "0" * 64, {"version": 1})


def steps(work):
    return [json.loads(line)["step"] for line in work.metrics.read_text().splitlines()]


def test_an_open_run_has_its_config_its_log_and_its_tracker(run):
    logger = logging.getLogger("trivet")
    before = list(logger.handlers)
    with run.opened():
        logger.warning("said inside")
        assert run.tracker.is_open
    logger.warning("said outside")
    assert json.loads((run.folder / "config.json").read_text()) == {"seed": 1}
    text = (run.folder / "log.txt").read_text()
    assert "said inside" in text and "said outside" not in text
    assert logger.handlers == before and not run.tracker.is_open


def test_a_run_that_fails_closes_all_the_same(run):
    before = list(logging.getLogger("trivet").handlers)
    with pytest.raises(RuntimeError), run.opened():
        raise RuntimeError
    assert logging.getLogger("trivet").handlers == before and not run.tracker.is_open
    with run.opened():  # the folder is free again
        pass


def test_the_manifest_says_how_it_ended(run):
    with run.opened():
        run.stages.append({"stage": "pretrain", "key": "k"})
        run.finish("done")
    assert json.loads((run.folder / "manifest.json").read_text()) == {
        "name": "a run",
        "state": "done",
        "stages": [{"stage": "pretrain", "key": "k"}],
    }


def test_metrics_are_lines_of_json_and_reach_the_tracker_under_the_stages_name(work):
    work.log(1, {"loss": 0.5})
    work.log(2, {"loss": 0.25})
    lines = [json.loads(line) for line in work.metrics.read_text().splitlines()]
    assert lines == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}]
    assert work.run.tracker.heard == [(1, {"pretrain/loss": 0.5}), (2, {"pretrain/loss": 0.25})]


def test_what_a_resumed_run_logs_again_is_dropped_first(work):
    for step in range(1, 6):
        work.log(step, {"loss": 1.0})
    work.forget_after(3)
    assert steps(work) == [1, 2, 3]
    work.log(4, {"loss": 2.0})
    assert steps(work) == [1, 2, 3, 4]


def test_a_line_cut_short_by_a_kill_does_not_stand_in_the_way(work):
    work.log(1, {"loss": 1.0})
    with work.metrics.open("a") as stream:
        stream.write('{"loss": 0.5, "st')
    work.forget_after(1)
    work.log(2, {"loss": 0.5})
    assert steps(work) == [1, 2]


def test_a_stage_that_never_logged_has_nothing_to_forget(work):
    work.forget_after(-1)
    assert not work.folder.exists()


def test_a_saved_stage_is_an_artifact_with_the_facts_and_the_description(work):
    artifact = work.save(lambda folder: (folder / "text").write_text("a"), {"steps": 3})
    assert (artifact.key, artifact.stage) == (work.key, "pretrain")
    assert (artifact.manifest["version"], artifact.manifest["steps"]) == (1, 3)
    assert work.run.store.find("pretrain", work.key) is not None


def test_a_manifest_cannot_be_told_another_key(work):
    work.describe["key"] = "another"
    assert work.save(lambda folder: None, {"stage": "another"}).key == work.key


def test_a_folder_in_use_is_refused_in_one_line(run):
    with (
        leased(run.folder / ".lock"),
        pytest.raises(TrivetError, match="another process is at work in this run's folder"),
    ):
        run.opened().__enter__()
    assert not (run.folder / "config.json").exists()


def test_the_last_value_of_each_metric_is_known_and_the_rate_is_none(work):
    assert work.last() == {}
    work.log(1, {"loss": 0.5, "lr": 0.1})
    work.log(2, {"loss": 0.25, "lr": 0.05})
    work.log(2, {"dev/ndcg@10": 0.75})
    assert work.last() == {"loss": 0.25, "dev/ndcg@10": 0.75}
