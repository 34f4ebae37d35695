"""What becomes of runs, by how their processes end."""

import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from trivet.core.files import write_json
from trivet.core.launching import Launch
from trivet.sweep import element
from trivet.sweep.element import last_words, quoted, spread, why, work
from trivet.sweep.record import Sweep


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """Three runs whose process is a line of Python, by number; they find their folder in argv."""
    made = Sweep.begin(tmp_path / "s-1", {"cwd": str(tmp_path), "name": "s"})
    codes = {}
    for number in range(3):
        record = made.record(number)
        record.folder.mkdir()
        write_json(record.config, {"machine": {}, "sweep": {"overrides": [], "number": number}})
    real = subprocess.Popen

    def start(command, **options):
        number = int(command[3].split("/")[-2])
        return real([sys.executable, "-c", codes[number], command[3]], **options)

    monkeypatch.setattr(element.subprocess, "Popen", start)
    return made, codes


def told(sweep, at_once=1):
    return SimpleNamespace(folder=str(sweep.folder), runs=[0, 1, 2], at_once=at_once)


def states(sweep):
    return [(record.status().state, record.status().reason) for record in sweep.records()]


def test_a_run_that_fails_says_why_and_the_others_go_on(sweep):
    made, codes = sweep
    codes |= {
        0: "import sys; print('trivet: rank 0: the loss is nan in step 3'); sys.exit(2)",
        1: "import os; os.kill(os.getpid(), 9)",
        2: "pass",
    }
    work(told(made))
    assert states(made) == [
        ("failed", "the loss is nan in step 3"),
        ("failed", "ended by SIGKILL: out of memory, or by hand"),
        ("finished", ""),
    ]
    codes[1] = "raise SystemExit(1)"
    work(told(made))  # an element that starts again leaves alone what has ended
    assert [record.status().attempt for record in made.records()] == [1, 1, 1]


def test_a_run_that_was_given_up_is_stopped_and_not_failed(sweep):
    made, codes = sweep
    codes |= dict.fromkeys(range(3), "import sys; print('trivet: ended early'); sys.exit(4)")
    work(told(made))
    assert states(made) == [("stopped", "ended early")] * 3


def test_runs_may_be_packed_side_by_side(sweep):
    made, codes = sweep
    codes |= dict.fromkeys(range(3), "import time; time.sleep(1)")
    work(told(made, at_once=3))
    spans = [(record.status().began, record.status().ended) for record in made.records()]
    assert max(began for began, _ in spans) < min(ended for _, ended in spans)


def test_a_signal_saves_the_run_keeps_the_others_queued_and_goes_to_who_listened(sweep):
    made, codes = sweep
    wait = "import os, signal, sys, time\nsignal.signal(signal.SIGUSR2, lambda *_: os._exit(140))\n"
    codes |= dict.fromkeys(range(3), wait + "open(sys.argv[1] + '.up', 'w')\ntime.sleep(60)")
    heard = []
    before = signal.signal(signal.SIGUSR2, lambda number, _: heard.append(number))

    def send():
        while not made.record(0).config.with_suffix(".json.up").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGUSR2)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        work(told(made))
    finally:
        sender.join()
        signal.signal(signal.SIGUSR2, before)
    assert heard == [signal.SIGUSR2]
    assert states(made) == [
        ("queued", "interrupted by SIGUSR2, saved"),
        ("queued", ""),
        ("queued", ""),
    ]


def test_a_cancelled_sweep_ends_what_runs_and_begins_no_more(sweep):
    made, codes = sweep
    codes |= dict.fromkeys(range(3), "import time; time.sleep(60)")
    timer = threading.Timer(1.0, made.cancel)
    timer.start()
    work(told(made))
    assert states(made) == [("cancelled", "on request")] * 3


def test_a_run_that_another_is_at_is_left_to_it(sweep, monkeypatch):
    made, codes = sweep
    codes |= dict.fromkeys(range(3), "pass")
    monkeypatch.setattr("trivet.sweep.record.PATIENCE", 0.1)
    with made.record(1).claim():
        work(told(made))
        assert [state for state, _ in states(made)] == ["finished", "queued", "finished"]


@pytest.mark.parametrize(
    ("code", "said"), [(-9, "out of memory"), (143, "ended by SIGTERM"), (7, "exit status 7")]
)
def test_a_status_that_nothing_explains_is_told_in_words(tmp_path, code, said):
    (tmp_path / "log").write_text("")
    assert said in why(code, tmp_path / "log")


def test_the_reason_is_what_trivet_said_last(tmp_path):
    (tmp_path / "log").write_text("a\ntrivet: rank 0: this\nand that\n")
    assert last_words(tmp_path / "log") == "this"
    (tmp_path / "log").write_text("x\ntorch.OutOfMemoryError: CUDA out of memory. Tried\n")
    assert last_words(tmp_path / "log").startswith("out of GPU memory: CUDA out of memory")


def test_elements_hold_as_many_runs_as_they_are_told():
    local = spread(Launch(max_parallel=2), [0, 1, 2], "f")
    assert local == [["folder='f'", "runs=[0,1,2]", "at_once=2"]]
    packed = spread(Launch("submitit_slurm", pack=2, at_once=2), [4, 5, 6], "f")
    assert [words[1:] for words in packed] == [
        ["runs=[4,5]", "at_once=2"],
        ["runs=[6]", "at_once=2"],
    ]


def test_a_run_that_cannot_be_begun_fails_by_name_and_the_others_go_on(sweep):
    made, codes = sweep
    codes |= dict.fromkeys(range(3), "pass")
    made.record(1).config.write_text("{")
    work(told(made))
    states = [made.record(number).status() for number in range(3)]
    assert [one.state for one in states] == ["finished", "failed", "finished"]
    assert "not a JSON file" in states[1].reason and not made.record(1).held()


def test_all_runs_of_a_folder_that_is_gone_fail(sweep, tmp_path):
    made, codes = sweep
    codes |= dict.fromkeys(range(3), "pass")
    made.facts["cwd"] = str(tmp_path / "gone")
    write_json(made.folder / "sweep.json", made.facts)
    work(told(made))
    assert all("gone" in made.record(number).status().reason for number in range(3))


@pytest.mark.parametrize("path", ["/a/b", "/it's", "/a, [x] #1", "/b\\'c", "/ü=(1)"])
def test_any_path_goes_through_hydras_words(path):
    parsed = OverridesParser.create().parse_override(f"folder={quoted(path)}")
    assert parsed.value() == path
