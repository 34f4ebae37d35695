import logging
import sys
import types

import pytest

from trivet.core.tracker import Jsonl, Tensorboard, Tracker, Wandb, grouped


def used(tracker, folder):
    """A whole run's use of a tracker."""
    tracker.open(folder, "a run", {"steps": 3, "nested": {"rate": 0.1}})
    for step in range(1, 4):
        tracker.log({"pretrain/loss": 1 / step}, step)
    tracker.close()
    tracker.close()


@pytest.fixture
def quiet(monkeypatch, tmp_path):
    """A wandb that finds no login and writes nowhere but where it is told."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")


@pytest.mark.parametrize("tracker", [Jsonl(), Wandb(), Tensorboard()])
def test_each_is_a_tracker_that_can_be_used_unopened(tracker):
    assert isinstance(tracker, Tracker)
    tracker.log({"a": 1.0}, 1)
    tracker.close()


def test_jsonl_adds_nothing(tmp_path):
    used(Jsonl(), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "tracker, module, extra",
    [
        (Wandb(), "wandb", "trivet[wandb]"),
        (Tensorboard(), "torch.utils.tensorboard", "trivet[tensorboard]"),
    ],
)
def test_without_the_package_the_run_goes_on_and_says_how_to_get_it(
    tracker, module, extra, monkeypatch, caplog, tmp_path
):
    monkeypatch.setitem(sys.modules, module, None)
    with caplog.at_level(logging.WARNING, "trivet"):
        used(tracker, tmp_path)
    assert len(caplog.records) == 1 and extra in caplog.text
    assert list(tmp_path.iterdir()) == []


def fake_wandb(monkeypatch, init, api_key=None):
    module = types.ModuleType("wandb")
    module.api = types.SimpleNamespace(api_key=api_key)
    module.init = init
    monkeypatch.setitem(sys.modules, "wandb", module)


def test_wandb_without_a_login_is_not_started(monkeypatch, caplog, tmp_path, quiet):
    fake_wandb(monkeypatch, lambda **_: pytest.fail("started"))
    with caplog.at_level(logging.WARNING, "trivet"):
        used(Wandb(mode="online"), tmp_path)
    assert len(caplog.records) == 1 and "no login" in caplog.text


def test_a_wandb_that_does_not_start_does_not_stop_the_run(monkeypatch, caplog, tmp_path, quiet):
    def init(**_):
        raise RuntimeError("no route to host")

    fake_wandb(monkeypatch, init, api_key="k")
    with caplog.at_level(logging.WARNING, "trivet"):
        used(Wandb(), tmp_path)
    assert len(caplog.records) == 1 and "no route to host" in caplog.text


class FakeRun:
    def __init__(self, broken=False):
        self.broken, self.got, self.finished = broken, [], 0

    def log(self, metrics, step):
        if self.broken:
            raise ConnectionError("gone")
        self.got.append((step, metrics))

    def finish(self):
        self.finished += 1
        if self.broken:
            raise ConnectionError("gone")


def test_wandb_is_given_the_run_and_every_number_and_is_finished_once(monkeypatch, tmp_path, quiet):
    run, given = FakeRun(), {}
    fake_wandb(monkeypatch, lambda **words: given.update(words) or run, api_key="k")
    used(Wandb(project="p"), tmp_path)
    config = {"steps": 3, "nested": {"rate": 0.1}}
    wanted = {"project": "p", "name": "a run", "config": config}
    grouped = {"group": "run", "job_type": "train", "tags": ["run"]}
    assert given == {**wanted, **grouped, "dir": str(tmp_path), "mode": "online"}
    assert run.got == [(step, {"pretrain/loss": 1 / step}) for step in (1, 2, 3)]
    assert run.finished == 1


def test_a_wandb_that_cannot_finish_does_not_stop_the_run(monkeypatch, caplog, tmp_path, quiet):
    fake_wandb(monkeypatch, lambda **_: FakeRun(broken=True), api_key="k")
    tracker = Wandb()
    tracker.open(tmp_path, "a run", {})
    with caplog.at_level(logging.WARNING, "trivet"):
        tracker.close()
    assert "does not finish" in caplog.text


def test_a_wandb_that_breaks_later_does_not_stop_the_run(monkeypatch, caplog, tmp_path, quiet):
    fake_wandb(monkeypatch, lambda **_: FakeRun(broken=True), api_key="k")
    with caplog.at_level(logging.WARNING, "trivet"):
        used(Wandb(), tmp_path)
    assert len(caplog.records) == 1 and "gone" in caplog.text


def test_wandb_offline_writes_into_the_run_folder(tmp_path, quiet):
    wandb = pytest.importorskip("wandb")
    folder = tmp_path / "run"
    folder.mkdir()
    used(Wandb(mode="offline"), folder)
    wandb.teardown()  # its own process writes the file, and may do so after finish() returns
    files = list(folder.glob("wandb/offline-run-*/*.wandb"))
    assert len(files) == 1 and b"pretrain/loss" in files[0].read_bytes()


SWEPT = {
    "name": "tiny",
    "seed": 2,
    "sweep": {"id": "heads-1f", "level": {"head@stages.colbert.head": "ffn", "a.b.dim": 48}},
}


def test_seeds_of_a_level_share_group_and_job_and_levels_of_a_sweep_the_group():
    other = {**SWEPT, "seed": 3}
    level = {**SWEPT, "sweep": {**SWEPT["sweep"], "level": {"head@stages.colbert.head": "glu"}}}
    one = grouped(SWEPT)
    assert one == {
        "group": "heads-1f",
        "job_type": "head=ffn, dim=48",
        "tags": ["tiny", "head=ffn", "dim=48", "seed=2"],
    }
    assert [grouped(other)[name] == one[name] for name in ("group", "job_type", "tags")] == [
        *(True, True),
        False,
    ]
    assert grouped(level)["group"] == one["group"] and grouped(level)["job_type"] == "head=glu"
    assert grouped({"name": "tiny", "seed": None})["group"] == "tiny"


def test_no_word_is_longer_than_wandb_takes():
    given = grouped({**SWEPT, "sweep": {"id": "s" * 200, "level": {"key": "v" * 200}}})
    assert len(given["group"]) == 128 and len(given["job_type"]) == 64
    assert max(map(len, given["tags"])) == 64


def test_an_offline_run_knows_its_sweep_its_level_and_its_seed(tmp_path, quiet):
    wandb = pytest.importorskip("wandb")
    tracker = Wandb(mode="offline")
    tracker.open(tmp_path, "a run", SWEPT)
    tracker.close()
    wandb.teardown()
    (written,) = [path.read_bytes() for path in tmp_path.glob("wandb/offline-run-*/*.wandb")]
    assert all(word in written for word in (b"heads-1f", b"head=ffn, dim=48", b"seed=2"))


def test_tensorboard_writes_every_number_into_the_run_folder(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    used(Tensorboard(), tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    found = [(event.step, event.value) for event in events.Scalars("pretrain/loss")]
    assert found == [(step, pytest.approx(1 / step)) for step in (1, 2, 3)]
