import http.client
import json
import threading

import numpy as np
import pytest

from trivet.core.errors import TrivetError
from trivet.report.site.live import Live, is_loopback, server

ROUNDS = 50


@pytest.fixture
def live(swept, runs, ledger):
    return Live(ledger.path, [runs], None, ROUNDS)


@pytest.fixture
def ask(live):
    """A function that asks the running server; it gives status, headers and body."""
    live.refresh()
    serving = server(live, "127.0.0.1", 0)
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()

    def ask(path, host="localhost"):
        connection = http.client.HTTPConnection(*serving.server_address, timeout=10)
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        found = answer.status, dict(answer.getheaders()), answer.read()
        connection.close()
        return found

    yield ask
    serving.shutdown()
    serving.server_close()
    thread.join(10)


def test_pages_and_figures_are_served_with_what_they_are(ask):
    for path, kind in [
        ("/", "text/html; charset=utf-8"),
        ("/index.html?x=1", "text/html; charset=utf-8"),
        ("/figures/board-animals.svg", "image/svg+xml"),
        ("/figures/board-animals.pdf", "application/pdf"),
    ]:
        status, headers, body = ask(path)
        assert (status, headers["Content-Type"], headers["Cache-Control"]) == (
            200,
            kind,
            "no-store",
        )
        assert body


def test_nothing_else_can_be_asked_for(ask, ledger):
    for path in (
        "/../results/ledger.jsonl",
        "/%2e%2e/results/ledger.jsonl",
        str(ledger.path),
        "/x",
    ):
        assert ask(path)[0] == 404


def test_a_foreign_name_for_this_machine_is_refused(ask):
    assert ask("/", host="evil.example:8484")[0] == 403
    assert [ask("/", host=host)[0] for host in ("127.0.0.1:1", "[::1]:1", "localhost")] == [200] * 3


def test_a_new_row_and_a_new_step_make_a_new_version_and_nothing_does_not(live, add, runs, ask):
    assert ask("/version")[2] == b"1" and not live.refresh()
    assert b'data-live="1"' in ask("/")[2]
    add("newcomer", np.full(30, 0.4), task="birds")
    assert live.refresh() and ask("/version")[2] == b"2"
    assert b"newcomer" in ask("/board-animals.html")[2]
    with (runs / "runs" / "tiny-1" / "pretrain" / "metrics.jsonl").open("a") as stream:
        stream.write("\n" + json.dumps({"step": 40, "loss": 0.125}) + "\n")
    assert live.refresh() and b'value="0.125"' in ask("/curves.html")[2]


def test_a_run_that_logs_does_not_make_the_ledger_be_tested_again(live, runs, monkeypatch):
    live.refresh()
    monkeypatch.setattr("trivet.report.site.live.findings", lambda *_: pytest.fail("tested"))
    with (runs / "runs" / "tiny-1" / "pretrain" / "metrics.jsonl").open("a") as stream:
        stream.write("\n" + json.dumps({"step": 40, "loss": 0.1}) + "\n")
    assert live.refresh() and live.version == 2


def test_a_broken_row_leaves_the_pages_and_is_told(live, ledger, caplog):
    live.refresh()
    before = live.files
    with ledger.path.open("a") as stream:
        stream.write("{}\n")
    assert live.refresh() and live.files is before
    assert "stay as they were" in caplog.text and not live.refresh()
    with pytest.raises(TrivetError):
        Live(ledger.path, [], None, ROUNDS).refresh()


def test_before_the_first_row_there_is_a_page_that_says_so(tmp_path):
    live = Live(tmp_path / "ledger.jsonl", [], None, ROUNDS)
    live.refresh()
    assert b"no rows yet" in live.files["index.html"]


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("", False),
     ("192.168.1.2", False), ("example.org", False), (None, False)],
)  # fmt: skip
def test_loopback_is_known_by_its_address(host, expected):
    assert is_loopback(host) is expected
