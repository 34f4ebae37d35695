"""What a manifest says of the stages before, and of places on the hub."""

from __future__ import annotations

from pathlib import Path

from trivet.core.artifact import Artifact
from trivet.data.columns import Columns
from trivet.data.mixture import Family, Mixture
from trivet.data.sources import Source
from trivet.mining.teachers import EndpointTeacher, ModelTeacher
from trivet.models.backbone import Pretrained
from trivet.stages.lineage import ancestors, origins
from trivet.stages.start import Start

COLUMNS = Columns(query="q", positive="p")


def test_each_stage_before_is_told_once_in_order():
    first = Artifact(Path("x"), {"stage": "a", "key": "1", "files": {}, "hardware": {}})
    told = ancestors(first)
    second = Artifact(Path("y"), {"stage": "b", "key": "2", "files": {}, "ancestors": told})
    assert ancestors(None) == []
    assert ancestors(second) == [{"stage": "a", "key": "1"}, {"stage": "b", "key": "2"}]


def test_hub_ids_and_packages_are_told_by_their_place_and_folders_are_not(tmp_path):
    hub = Source("one", COLUMNS, hub="some/data", subset="en", revision="abc")
    local = Source("two", COLUMNS, path=str(tmp_path / "rows.jsonl"))
    within = Source("three", COLUMNS, hub="more/data")
    mixture = Mixture([local, hub], families={"other": Family([within])})
    config = {
        "start": Start(backbone=Pretrained(hub="some/encoder")),
        "packed": Start(backbone=Pretrained(package="a_package:model")),
        "here": Start(backbone=Pretrained(path=str(tmp_path))),
        "data": mixture,
        "teacher": ModelTeacher(model="some/teacher", revision="v1"),
        "folder": ModelTeacher(model=str(tmp_path)),
        "server": EndpointTeacher(model="a-name", url="http://localhost"),
    }
    place = {source.name: i for i, source in enumerate(mixture.sources)}
    assert origins(config) == {
        "start.backbone": {"hub": "some/encoder", "revision": "main"},
        "packed.backbone": {"package": "a_package:model"},
        f"data.sources.{place['one']}": {"hub": "some/data", "subset": "en", "revision": "abc"},
        f"data.sources.{place['three']}": {"hub": "more/data", "revision": "main"},
        "teacher": {"hub": "some/teacher", "revision": "v1"},
    }
