import http.client
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from trivet.cli.main import main

MAIN = [sys.executable, "-m", "trivet.cli.main"]


@pytest.fixture
def typed(ledger, capsys):
    """A command with words typed after it: status, output, errors."""

    def typed(command, *words):
        status = main([command, "--ledger", str(ledger.path), *words])
        return (status, *capsys.readouterr())

    return typed


@pytest.fixture
def rows(add):
    for label, value in (("base", 0.4), ("other", 0.5)):
        add(label, np.full(20, value))


def test_a_site_is_written_and_its_first_page_is_printed(rows, ledger, typed, tmp_path):
    status, out, _ = typed("report", "--site", str(tmp_path / "s"), "--rounds", "50")
    assert (status, out.strip()) == (0, str(tmp_path / "s" / "index.html"))
    assert (tmp_path / "s" / "board-animals.html").is_file()


def test_tables_are_printed_as_before(rows, typed):
    status, out, _ = typed("report", "--metrics", "ndcg@10")
    assert status == 0 and "| other |" in out.replace("  ", "") and "0.5000" in out


def test_what_a_site_cannot_use_ends_with_status_two_and_one_line(rows, typed, tmp_path):
    site = ("--site", str(tmp_path / "s"))
    for words, said in [
        ((*site, "--bench", "animals"), "--bench: not with --site"),
        ((*site, "--runs", str(tmp_path / "none")), "no folder"),
        ((*site, "--pages", str(tmp_path / "none.yaml")), "cannot be read"),
        (("--site", str(Path(__file__).parent)), "holds something else"),
    ]:
        status, out, err = typed("report", *words)
        assert (status, out, err.count("\n")) == (2, "", 1) and said in err
    assert not (tmp_path / "s").exists()


def test_a_watch_says_its_address_answers_and_ends_when_interrupted(rows, ledger, tmp_path):
    command = [*MAIN, "watch", "--ledger", str(ledger.path), "--port", "0", "--rounds", "50"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    on = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # though a shell ignores it
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, preexec_fn=on) as process:  # fmt: skip
        try:
            line = process.stdout.readline().strip()
            assert line.startswith("http://127.0.0.1:"), process.stderr.read()
            connection = http.client.HTTPConnection("127.0.0.1", int(line[17:-1]), timeout=30)
            connection.request("GET", "/")
            assert b"<h1>trivet report</h1>" in connection.getresponse().read()
        finally:
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and err.strip() == "trivet: interrupted"


def test_a_place_that_cannot_be_served_is_told(rows, typed):
    for words, said in [
        (("--host", "203.0.113.7"), "cannot be served"),
        (("--port", "99999"), "cannot be served"),
        (("--every", "0"), "must be above 0"),
    ]:
        status, _, err = typed("watch", "--rounds", "50", *words)
        assert (status, err.count("\n")) == (2, 1) and said in err
