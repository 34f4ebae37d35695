import json
import os
import signal
import subprocess
import sys

import pytest

from trivet.core.errors import TrivetError
from trivet.core.files import read_json, whole_folder, write_bytes, write_json

# A process that does one thing and kills itself just before its n-th step on the disk.
KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from trivet.core import files
from trivet.core.files import whole_folder, write_bytes, write_json

path, left = Path(sys.argv[1]), int(sys.argv[2])

def counted(function):
    def step(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return step

steps = {os: ("fsync", "unlink", "rmdir"), Path: ("rename", "replace", "mkdir", "open")}
for owner, names in steps.items():
    for name in names:
        setattr(owner, name, counted(getattr(owner, name)))
"""
FOLDER = """
with whole_folder(path) as aside:
    (aside / "deep").mkdir()
    for name in ("a", "b", "deep/c"):
        write_bytes(aside / name, b"new " + name.encode())
"""
JSON = "write_json(path, {'state': 'new', 'rows': list(range(1000))})"
NEW = {"a": b"new a", "b": b"new b", "deep/c": b"new deep/c"}
OLD = {"a": b"old", "x": b"old", "y": b"old"}


def attempt(what, path, step):
    """Whether the process lived to its end."""
    code = subprocess.run([sys.executable, "-c", KILLED + what, str(path), str(step)]).returncode
    assert code in (0, -signal.SIGKILL)
    return code == 0


def held(path):
    """The files of a folder and their bytes, or None where there is no folder."""
    if not path.exists():
        return None
    files = (item for item in path.rglob("*") if item.is_file())
    return {item.relative_to(path).as_posix(): item.read_bytes() for item in files}


def fill(path, files):
    path.mkdir()
    for name, data in files.items():
        (path / name).write_bytes(data)


@pytest.mark.parametrize("before", [None, OLD], ids=["first", "again"])
def test_a_folder_killed_at_any_step_is_whole_or_not_there_and_can_be_made_again(tmp_path, before):
    seen = set()
    for step in range(1, 60):
        path = tmp_path / str(step) / "made"
        path.parent.mkdir()
        if before:
            fill(path, before)
        lived = attempt(FOLDER, path, step)
        state = held(path)
        assert state in (None, before, NEW), f"killed at step {step}"
        seen.add("new" if state == NEW else "not")
        if lived:
            assert state == NEW
            break
        with whole_folder(path) as aside:
            write_bytes(aside / "a", b"later")
        assert held(path) == {"a": b"later"}
        assert os.listdir(path.parent) == ["made"]
    else:
        pytest.fail("the process never lived to its end")
    assert step > 8 and seen == {"new", "not"}


@pytest.mark.parametrize("before", [None, OLD], ids=["first", "again"])
def test_an_exception_leaves_what_was_there_before_and_nothing_else(tmp_path, before):
    path = tmp_path / "made"
    if before:
        fill(path, before)
    with pytest.raises(RuntimeError), whole_folder(path) as aside:
        write_bytes(aside / "a", b"half")
        raise RuntimeError
    assert held(path) == before
    assert os.listdir(tmp_path) == (["made"] if before else [])
    with whole_folder(path) as aside:
        write_bytes(aside / "a", b"whole")
    assert held(path) == {"a": b"whole"}


def test_a_folder_has_no_name_before_the_block_ends(tmp_path):
    with whole_folder(tmp_path / "deep" / "made") as aside:
        assert aside.parent == tmp_path / "deep" and aside.name.startswith(".")
        assert not (tmp_path / "deep" / "made").exists()
    assert os.listdir(tmp_path / "deep") == ["made"]


def test_another_folder_in_the_making_is_left_alone(tmp_path):
    with whole_folder(tmp_path / "a.b") as other:
        with whole_folder(tmp_path / "a"):
            pass
        assert other.is_dir()
    assert sorted(os.listdir(tmp_path)) == ["a", "a.b"]


@pytest.mark.parametrize("name", ["a[1]", "a*", "a?b"])
def test_a_name_with_signs_of_a_pattern_is_a_name(tmp_path, name):
    fill(tmp_path / f".{name}.99999999.part", OLD)
    with whole_folder(tmp_path / name) as aside:
        write_bytes(aside / "a", b"1")
    assert os.listdir(tmp_path) == [name]


def test_a_full_disk_is_told_in_one_line(tmp_path):
    with pytest.raises(TrivetError, match="disk is full"), whole_folder(tmp_path / "made"):
        raise OSError(28, "No space left on device")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("before", [None, {"state": "old"}])
def test_a_json_file_killed_at_any_step_is_the_old_or_the_new_one(tmp_path, before):
    for step in range(1, 20):
        path = tmp_path / f"{step}.json"
        if before:
            path.write_text(json.dumps(before))
        lived = attempt(JSON, path, step)
        state = json.loads(path.read_text()) if path.exists() else None
        assert state == before or state["state"] == "new" and len(state["rows"]) == 1000
        write_json(path, {"state": "later"})
        assert read_json(path) == {"state": "later"}
        if lived:
            break
    assert lived and step > 3


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    for value in ({"a": float("inf")}, {"a": object()}):
        with pytest.raises((ValueError, TypeError)):
            write_json(path, value)
    assert read_json(path) == {"a": 1}
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"{} {}"])
def test_a_broken_json_file_is_named(tmp_path, data):
    path = tmp_path / "a.json"
    path.write_bytes(data)
    with pytest.raises(TrivetError, match="not a JSON file") as caught:
        read_json(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_every_byte_is_written(tmp_path, size):
    data = os.urandom(size)
    write_bytes(tmp_path / "a", data)
    write_bytes(tmp_path / "b", memoryview(data))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == data


def test_two_processes_may_write_one_folder_and_neither_harms_the_other(tmp_path):
    child = "import sys,pathlib\nfrom trivet.core.files import whole_folder\n" + (
        "for turn in range(40):\n"
        "    with whole_folder(pathlib.Path(sys.argv[1])) as aside:\n"
        "        for name in 'ab': (aside / name).write_text(sys.argv[2])\n"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", child, str(tmp_path / "made"), name])
        for name in "12"
    ]
    assert [one.wait(60) for one in started] == [0, 0]
    assert held(tmp_path / "made") in ({"a": b"1", "b": b"1"}, {"a": b"2", "b": b"2"})
    assert os.listdir(tmp_path) == ["made"]
