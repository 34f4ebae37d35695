import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from trivet.core import lease
from trivet.core.errors import TrivetError
from trivet.core.lease import began, current, leased

HOLDER = """
import sys
from pathlib import Path
from trivet.core.lease import leased
with leased(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
TAKER = """
import sys
from pathlib import Path
from trivet.core.errors import TrivetError
from trivet.core.lease import leased
try:
    with leased(Path(sys.argv[1]), wait=float(sys.argv[2]), what="the kitchen"):
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
    with pytest.raises(TrivetError) as caught, leased(path, what="the kitchen"):
        pass
    assert "another process is at work in the kitchen" in str(caught.value)
    assert str(path.parent) in str(caught.value) and caught.value.fix
    assert "another process" in taken_elsewhere(path)


def test_the_lock_is_free_after_its_holder_was_killed(path, holder):
    holder.send_signal(signal.SIGKILL)
    assert holder.wait() == -signal.SIGKILL
    with leased(path):
        assert current(path).facts["pid"] == os.getpid()


def test_the_lock_is_free_when_the_block_ends(path):
    with leased(path):
        assert "another process" in taken_elsewhere(path)
    assert taken_elsewhere(path) == "taken"


def test_the_lock_is_free_when_the_block_fails(path):
    with pytest.raises(RuntimeError), leased(path):
        raise RuntimeError
    assert taken_elsewhere(path) == "taken"


def test_one_who_waits_takes_it_when_it_is_let_go(path, holder):
    command = [sys.executable, "-c", TAKER, str(path), "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as waiting:
        holder.communicate("")
        assert waiting.communicate()[0] == "taken\n"


def test_one_lock_does_not_hold_another(path, holder):
    with leased(path.with_name("other")):
        assert os.listdir(path.parent)


def test_of_many_who_count_at_once_none_is_lost(path):
    total = path.with_name("total")
    total.parent.mkdir()
    total.write_text("0")
    code = (
        "import sys\nfrom pathlib import Path\nfrom trivet.core.lease import leased\n"
        "lock, total = map(Path, sys.argv[1:])\n"
        "for _ in range(25):\n"
        "    with leased(lock, wait=60, told=print):\n"
        "        total.write_text(str(int(total.read_text()) + 1))\n"
    )
    command = [sys.executable, "-c", code, str(path), str(total)]
    workers = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(4)]
    assert [worker.wait() for worker in workers] == [0] * 4
    assert total.read_text() == "100"
    assert len(list(path.parent.glob(".lock.*"))) == 1  # what is old is swept up


def elsewhere(path, number=1):
    """The file of a holder on another machine."""
    path.parent.mkdir(exist_ok=True)
    facts = {"host": "far", "pid": os.getpid(), "place": "another/boot", "began": "0"}
    file = path.with_name(f".lock.{number}.lock")
    file.write_text(json.dumps(facts))
    return file


def test_a_silent_holder_on_another_machine_is_replaced_and_named(path, monkeypatch):
    monkeypatch.setattr(lease, "PATIENCE", 0.3)
    elsewhere(path)
    told = []
    with leased(path, wait=30, what="the kitchen", told=told.append):
        assert current(path).number == 2
    assert told[-1] == f"the kitchen: taken over from process {os.getpid()} on far, which is dead"


def test_a_holder_on_another_machine_that_touches_its_file_is_left_alone(path, monkeypatch):
    monkeypatch.setattr(lease, "PATIENCE", 0.6)
    file = elsewhere(path)
    ended = threading.Event()

    def touch():
        while not ended.wait(0.05):
            os.utime(file)

    beat = threading.Thread(target=touch)
    beat.start()
    try:
        with pytest.raises(TrivetError, match="on far"), leased(path, wait=1.5):
            pass
    finally:
        ended.set()
        beat.join()


def test_a_holder_whose_lease_was_taken_over_asks_its_process_to_stop(path, monkeypatch):
    monkeypatch.setattr(lease, "BEAT", 0.05)
    asked = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        with leased(path):
            elsewhere(path, 2)
            path.with_name(".lock.1.lock").unlink()
            assert asked.wait(5)
        assert current(path).number == 2 and not current(path).free  # it is not given back
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_next_owner_of_a_process_number_is_not_its_last(path, holder):
    facts = current(path).facts
    assert facts["began"] == began(holder.pid) != began(os.getpid())
    assert current(path).dead is False
    holder.kill()
    holder.wait()
    assert current(path).dead is True
