"""The plan: what runs, what is found, and why, before anything starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest

from trivet.core.artifact import Artifact
from trivet.core.errors import ConfigError, DataError, UnreachableError
from trivet.core.run import Work
from trivet.data.columns import Columns
from trivet.data.sources import Source
from trivet.stages.pipeline import run
from trivet.stages.plan import Train, plan


@dataclass
class Note:
    """A stage that writes its word after its parent's."""

    version: ClassVar[int] = 1
    fit: ClassVar[None] = None
    made: ClassVar[list[str]] = []

    word: str
    seed: int = 0
    data: list[str] = field(default_factory=list)

    def accept(self, has_parent: bool) -> None:
        if self.word == "orphan" and has_parent:
            raise ConfigError("takes no parent")

    def run(self, parent: Artifact | None, work: Work) -> Artifact:
        Note.made.append(work.stage)
        before = (parent.path / "text").read_text() if parent else ""
        text = f"{before}{self.word}{self.seed} "
        return work.save(lambda folder: (folder / "text").write_text(text), {})


@pytest.fixture(autouse=True)
def _fresh():
    Note.made.clear()


def train(tmp_path: Path, words=("a", "b", "c"), **options) -> Train:
    stages = {name: Note(word) for name, word in zip("xyz", words, strict=True)}
    return Train(stages=stages, out=str(tmp_path), **options)


def actions(config: Train) -> list[str]:
    return [step.action for step in plan(config)]


def go(config: Train) -> str:
    artifact = run(config, plan(config), {})
    assert artifact is not None
    return (artifact.path / "text").read_text()


def test_stages_run_in_order_each_fed_by_the_one_before(tmp_path):
    assert go(train(tmp_path)) == "a0 b0 c0 "
    assert Note.made == ["x", "y", "z"]


def test_an_artifact_tells_of_all_stages_before_it(tmp_path):
    made = run(train(tmp_path), plan(train(tmp_path)), {})
    before = made.manifest["ancestors"]
    assert [stage["stage"] for stage in before] == ["x", "y"]
    assert [stage["config"]["word"] for stage in before] == ["a", "b"]
    assert made.manifest["parents"] == [before[1]["key"]]
    assert made.manifest["origins"] == {}


def test_what_is_finished_is_found_and_not_made_again(tmp_path):
    go(train(tmp_path))
    assert actions(train(tmp_path)) == ["reuse"] * 3
    assert go(train(tmp_path)) == "a0 b0 c0 "
    assert Note.made == ["x", "y", "z"]


def test_a_change_makes_a_stage_and_those_after_it_again(tmp_path):
    go(train(tmp_path))
    assert actions(train(tmp_path, ("a", "B", "c"))) == ["reuse", "run", "run"]


def test_until_ends_the_plan_and_start_begins_it_later(tmp_path):
    assert go(train(tmp_path, until="y")) == "a0 b0 "
    assert [step.name for step in plan(train(tmp_path, until="y"))] == ["x", "y"]
    assert actions(train(tmp_path, start="z")) == ["reuse", "reuse", "run"]


def test_start_without_what_it_needs_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="x is not finished, and y needs it"):
        plan(train(tmp_path, start="y"))


def test_a_parent_stands_in_for_the_stages_before_start(tmp_path):
    other = train(tmp_path / "other", ("p", "q", "r"), until="x")
    artifact = run(other, plan(other), {})
    assert artifact is not None
    config = train(tmp_path, start="y", parent=str(artifact.path))
    assert actions(config) == ["skip", "run", "run"]
    assert go(config) == "p0 b0 c0 "


def test_force_makes_a_stage_and_those_after_it_again(tmp_path):
    go(train(tmp_path))
    assert actions(train(tmp_path, force="y")) == ["reuse", "run", "run"]


def test_the_seed_is_that_of_the_last_stage_only(tmp_path):
    go(train(tmp_path))
    assert actions(train(tmp_path, seed=7)) == ["reuse", "reuse", "run"]
    assert go(train(tmp_path, seed=7)) == "a0 b0 c7 "


def test_seed_from_holds_for_all_stages_from_there_on(tmp_path):
    assert go(train(tmp_path, seed=7, seed_from="y")) == "a0 b7 c7 "


def test_a_stage_that_is_left_out_is_not_made_and_the_next_is_fed_by_the_one_before(tmp_path):
    assert go(train(tmp_path, leave_out=["y"])) == "a0 c0 "
    assert actions(train(tmp_path)) == ["reuse", "run", "run"]
    with pytest.raises(ConfigError, match="leave_out: no stage w"):
        train(tmp_path, leave_out=["w"])
    with pytest.raises(ConfigError, match="until: no stage y"):
        train(tmp_path, leave_out=["y"], until="y")


def test_a_stage_that_cannot_stand_where_it_stands_is_refused_by_name(tmp_path):
    with pytest.raises(ConfigError, match=r"^stages.y: takes no parent"):
        plan(train(tmp_path, ("a", "orphan", "c")))


@pytest.mark.parametrize("key", ["start", "until", "force", "seed_from"])
def test_an_unknown_stage_is_named_with_those_there_are(tmp_path, key):
    with pytest.raises(ConfigError, match=f"{key}: no stage w. There is: x, y, z"):
        train(tmp_path, **{key: "w", "seed": 1})


def test_a_run_leaves_its_config_log_and_manifest(tmp_path):
    config = train(tmp_path)
    run(config, plan(config), {"name": "as composed"})
    folder = next((tmp_path / "runs").iterdir())
    assert {"config.json", "log.txt", "manifest.json"} <= {path.name for path in folder.iterdir()}
    assert '"finished"' in (folder / "manifest.json").read_text()


def test_the_same_run_has_the_same_folder_and_another_has_another(tmp_path):
    for config in (train(tmp_path), train(tmp_path), train(tmp_path, seed=3)):
        run(config, plan(config), {})
    assert len(list((tmp_path / "runs").iterdir())) == 2


@dataclass
class FromHub:
    """Data that only the hub can name."""

    out_of_reach: ClassVar[bool] = True

    def fingerprint(self) -> str:
        if FromHub.out_of_reach:
            raise UnreachableError("the hub does not answer", where="dataset some/rows")
        return "commit"


def test_a_plan_to_look_at_goes_on_without_the_hub_and_one_to_run_does_not(tmp_path, monkeypatch):
    config = train(tmp_path)
    config.stages["y"].data = FromHub()
    steps = plan(config, unreachable=True)
    assert [bool(step.key) for step in steps] == [True, False, False]
    assert steps[1].reason == "no key yet: dataset some/rows: the hub does not answer"
    assert steps[2].reason == "its parent has no key yet"
    with pytest.raises(UnreachableError, match="some/rows"):
        plan(config)
    monkeypatch.setattr(FromHub, "out_of_reach", False)
    assert plan(config, unreachable=True) == plan(config)


def test_a_plan_to_look_at_tells_what_each_stage_lacks_files_too(tmp_path):
    config = train(tmp_path)
    config.stages["x"].data = FromHub()
    config.stages["z"].data = Source("s", Columns(text="t"), path=str(tmp_path / "mined"))
    reasons = [step.reason for step in plan(config, unreachable=True)]
    assert reasons[1:] == [
        "its parent has no key yet",
        f"no key yet: {tmp_path / 'mined'}: no such file or folder",
    ]
    config.stages["x"].data = None
    with pytest.raises(DataError, match="no such file or folder"):
        plan(config)


def test_a_stage_is_offered_a_parent_though_it_has_no_key(tmp_path):
    config = train(tmp_path, ("a", "orphan", "c"))
    config.stages["x"].data = FromHub()
    with pytest.raises(ConfigError, match=r"^stages.y: takes no parent"):
        plan(config, unreachable=True)
