"""Work in shards: what was made is not made again, what is damaged is, and the end is the same."""

import json
import subprocess
import sys

import pytest

from trivet.core.artifact import Artifact, Store
from trivet.core.errors import TrivetError
from trivet.mining.shards import Shards, find, make


class Maker:
    """Squares, and a note of which were made; it dies at one of them."""

    def __init__(self, dies_at=None):
        self.made, self.dies_at = [], dies_at

    def __call__(self, number):
        if number == self.dies_at:
            raise KeyboardInterrupt
        self.made.append(number)
        return {"square": number**2}

    def work(self, shards):
        shards.work(range(6), self, "squares")


def write(folder, shards):
    (folder / "squares.json").write_text(json.dumps(list(shards.read(range(6)))))
    return {"count": 6}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def test_a_killed_run_goes_on_where_it_stopped_and_ends_as_an_unbroken_one(store, tmp_path):
    unbroken = make(Store(tmp_path / "other"), "squares", "k" * 20, Maker().work, write)
    with pytest.raises(KeyboardInterrupt):
        make(store, "squares", "k" * 20, Maker(dies_at=4).work, write)
    assert find(store, "squares", "k" * 20) is None
    again = Maker()
    made = make(store, "squares", "k" * 20, again.work, write)
    assert again.made == [4, 5]
    assert made.manifest == unbroken.manifest and made.manifest["count"] == 6
    assert Artifact.open(made.path).key == "k" * 20
    assert find(store, "squares", "k" * 20).path == made.path


def test_a_shard_whose_bytes_have_changed_is_made_again(store):
    with pytest.raises(KeyboardInterrupt):
        make(store, "squares", "key", Maker(dies_at=4).work, write)
    broken = next(store.root.glob(".*.shards/000002.*"))
    broken.write_bytes(broken.read_bytes()[:-1] + b"x")
    (broken.parent / ".000003.part").write_text("half")
    again = Maker()
    make(store, "squares", "key", again.work, write)
    assert again.made == [2, 4, 5]


def test_nothing_but_the_artifact_is_left(store):
    made = make(store, "squares", "key", Maker().work, write)
    assert list(store.root.iterdir()) == [made.path]


_HOLDER = """
import sys
from pathlib import Path
from trivet.core.lock import only_one
with only_one(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_runs_do_not_work_on_one_thing_at_once(store):
    lock = store.place("squares", "key").with_name(".squares-key.shards") / ".lock"
    command = [sys.executable, "-c", _HOLDER, str(lock)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(TrivetError, match="another process is at work in this squares"):
            make(store, "squares", "key", Maker().work, write)
        other.stdin.close()
    assert make(store, "squares", "key", Maker().work, write).manifest["count"] == 6


def test_a_shard_that_is_not_there_is_told(tmp_path):
    with pytest.raises(TrivetError, match="not every shard is there"):
        list(Shards(tmp_path / "none").read(range(1)))
