"""Ranks start together and end together."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from trivet.sweep.launch import LOST, Nodes, launch


def ranks(code, processes=2, **options):
    """Ranks that run a piece of Python."""
    text = "import os, sys, time, signal\nrank = int(os.environ['RANK'])\n" + textwrap.dedent(code)
    return launch([sys.executable, "-c", text], processes, **options)


def test_each_rank_is_told_its_place(tmp_path):
    code = f"""
    names = ["RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR"]
    open(f"{tmp_path}/{{rank}}", "w").write(" ".join(os.environ[name] for name in names))
    """
    assert ranks(code, 2, nodes=Nodes(1, 3, "10.0.0.1", 5)) == 0
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == {"2": "2 0 6 10.0.0.1", "3": "3 1 6 10.0.0.1"}


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_rank_that_fails_ends_the_others_and_its_status_is_the_runs(failing):
    began = time.monotonic()
    assert ranks(f"sys.exit(7) if rank == {failing} else time.sleep(600)", 3) == 7
    assert time.monotonic() - began < 300


def test_a_rank_that_is_killed_ends_the_run_as_a_shell_would_say():
    assert ranks("os.kill(os.getpid(), 9) if rank else time.sleep(600)") == 128 + 9


def test_a_rank_that_only_lost_another_is_not_the_one_to_blame():
    assert ranks(f"sys.exit({LOST}) if rank else (time.sleep(1), sys.exit(5))") in (5, 128 + 15)
    assert ranks(f"(time.sleep(1), sys.exit({LOST})) if rank else sys.exit(5)") == 5


def test_a_signal_reaches_every_rank_once(tmp_path):
    """The launcher is asked to stop; each rank notes it, once, and ends by itself."""
    child = f"""
    import os, signal, sys, time
    notes = open("{tmp_path}/" + os.environ["RANK"], "a", buffering=1)
    signal.signal(signal.SIGUSR1, lambda *a: notes.write("asked\\n"))
    notes.write("ready\\n")
    deadline = time.time() + 60
    while "asked" not in open(notes.name).read() and time.time() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    sys.exit(9)
    """
    parent = textwrap.dedent(
        """
        import sys
        from trivet.sweep.launch import launch
        sys.exit(launch([sys.executable, "-c", sys.argv[1]], 2))
        """
    )
    made = subprocess.Popen([sys.executable, "-c", parent, textwrap.dedent(child)])
    files = [tmp_path / "0", tmp_path / "1"]
    deadline = time.monotonic() + 60
    while not all(f.is_file() and "ready" in f.read_text() for f in files):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(made.pid, signal.SIGUSR1)
    assert made.wait(60) == 9
    assert [f.read_text().split() for f in files] == [["ready", "asked"]] * 2
