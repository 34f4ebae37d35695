import os
import signal
import subprocess
import sys

import pytest

from trivet.core.errors import TrivetError
from trivet.core.lock import only_one

HOLDER = """
import sys
from pathlib import Path
from trivet.core.lock import only_one
with only_one(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
TAKER = """
import sys
from pathlib import Path
from trivet.core.errors import TrivetError
from trivet.core.lock import only_one
try:
    with only_one(Path(sys.argv[1]), wait=float(sys.argv[2]), what="the kitchen"):
        print("taken")
except TrivetError as error:
    print(error)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / ".lock"


@pytest.fixture
def holder(path):
    """Another process that holds the lock until its input is closed."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def taken_elsewhere(path, wait=0.0):
    command = [sys.executable, "-c", TAKER, str(path), str(wait)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_second_process_is_refused_in_one_line(path, holder):
    with pytest.raises(TrivetError) as caught, only_one(path, what="the kitchen"):
        pass
    assert "another process is at work in the kitchen" in str(caught.value)
    assert str(path.parent) in str(caught.value) and caught.value.fix
    assert "another process" in taken_elsewhere(path)


def test_the_lock_is_free_after_its_holder_was_killed(path, holder):
    holder.send_signal(signal.SIGKILL)
    assert holder.wait() == -signal.SIGKILL
    with only_one(path):
        assert path.exists()


def test_the_lock_is_free_when_the_block_ends(path):
    with only_one(path):
        assert "another process" in taken_elsewhere(path)
    assert taken_elsewhere(path) == "taken"


def test_the_lock_is_free_when_the_block_fails(path):
    with pytest.raises(RuntimeError), only_one(path):
        raise RuntimeError
    assert taken_elsewhere(path) == "taken"


def test_one_who_waits_takes_it_when_it_is_let_go(path, holder):
    command = [sys.executable, "-c", TAKER, str(path), "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as waiting:
        holder.communicate("")
        assert waiting.communicate()[0] == "taken\n"


def test_one_lock_does_not_hold_another(path, holder):
    with only_one(path.with_name("other")):
        assert os.listdir(path.parent)


def test_what_the_file_holds_is_left_alone(path):
    path.parent.mkdir()
    path.write_text("a note")
    with only_one(path):
        pass
    assert path.read_text() == "a note"
