import io
import re
import sys

import pytest

from trivet.core.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = [100.0]
    monkeypatch.setattr("trivet.core.progress.time.monotonic", lambda: now[0])
    return now


def test_without_a_terminal_there_are_plain_lines_as_often_as_asked(capsys, clock):
    with Progress("read", 100, "row", every=10.0) as progress:
        for _ in range(100):
            clock[0] += 1.0
            progress.add(1)
    printed = capsys.readouterr().err
    lines = printed.splitlines()
    assert len(lines) == 10
    assert [re.match(r"read: (\d+)/100 ", line)[1] for line in lines] == [
        str(done) for done in range(10, 101, 10)
    ]
    assert not set(printed) & set("\r\x1b")


def test_a_line_holds_what_was_done_the_rate_and_the_seconds_left():
    progress = Progress("read", 100, "row")
    progress.add(25, "loss 0.5")
    assert progress.line(5.0) == "read: 25/100  5.0 row/s  15 s left  loss 0.5"


def test_a_line_without_a_total_promises_no_end():
    progress = Progress("read", 0, "row")
    progress.add(25)
    assert progress.line(5.0) == "read: 25  5.0 row/s"


@pytest.mark.parametrize("done, seconds", [(0, 5.0), (0, 0.0), (3, 0.0)])
def test_a_line_can_be_made_before_there_is_a_rate(done, seconds):
    progress = Progress("read", 100, "row")
    progress.add(done)
    assert progress.line(seconds) == f"read: {done}/100  0.0 row/s  …"


def test_a_note_stays_until_the_next_one():
    progress = Progress("read", 10)
    progress.add(1, "loss 2")
    progress.add(1)
    assert progress.line(1.0).endswith("loss 2")
    progress.add(1, "loss 1")
    assert progress.line(1.0).endswith("loss 1")


@pytest.mark.parametrize("total", [0, 4])
def test_on_a_terminal_a_bar_counts_and_is_closed_however_the_loop_ends(monkeypatch, total):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with pytest.raises(KeyError), Progress("read", total, "row", every=0.0) as progress:
        progress.add(2, "loss 0.5")
        assert progress.bar.n == progress.done == 2
        raise KeyError
    assert progress.bar.disable  # tqdm's word for closed
    assert "read" in stream.getvalue() and "row/s  " not in stream.getvalue()
