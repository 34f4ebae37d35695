"""A loopback server stands in for a language model."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from trivet.core.errors import ConfigError, TrivetError
from trivet.core.records import Corpus
from trivet.retrieval.augment import Endpoint
from trivet.retrieval.bmx import Bmx


@pytest.fixture(autouse=True)
def apart(monkeypatch, tmp_path):
    """A cache of its own, and no proxy between the test and its server."""
    monkeypatch.setenv("TRIVET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def chat(text):
    return json.dumps({"choices": [{"message": {"content": text}}]}).encode()


@contextmanager
def server(answer, status=200, headers=()):
    """An address, and what it was asked: (path, authorization, body)."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            asked.append(("GET", self.path))

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, self.headers.get("Authorization"), body))
            query = body["messages"][0]["content"].rpartition("Query: ")[2]
            data = answer(query) if callable(answer) else answer
            self.send_response(status)
            for name, value in [*headers, ("Content-Length", str(len(data)))]:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{made.server_address[1]}/v1", asked
    finally:
        made.shutdown()
        made.server_close()


def endpoint(url, model="m", count=3, **fields):
    return Endpoint(url, model, fields.pop("key", None), count, **fields)


def test_an_answer_is_read_a_line_a_query_without_marks():
    text = '1. first one\n- second\n\n* "third"\n2) fourth'
    with server(chat(text)) as (url, _):
        assert endpoint(url)(["q"]) == [["first one", "second", "third"]]
        assert endpoint(url, count=9)(["q"])[0][3] == "fourth"


def test_each_query_has_its_own_answer_in_its_own_place():
    with server(lambda query: chat(f"like {query}")) as (url, asked):
        assert endpoint(url)(["b", "a", "b"]) == [["like b"], ["like a"], ["like b"]]
    assert len(asked) == 2


def test_the_request_names_the_model_and_holds_the_key(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "secret")
    with server(chat("x")) as (url, asked):
        endpoint(url + "/", "some-model", key="SOME_KEY")(["q"])
    path, authorization, body = asked[0]
    assert (path, authorization) == ("/v1/chat/completions", "Bearer secret")
    assert (body["model"], body["temperature"]) == ("some-model", 0)


def test_answers_are_kept_by_model_and_count_and_never_the_key(monkeypatch, tmp_path):
    monkeypatch.setenv("SOME_KEY", "secret")
    with server(chat("x")) as (url, asked):
        for model, count in (("m", 3), ("m", 3), ("other", 3), ("m", 4)):
            endpoint(url, model, count, key="SOME_KEY")(["q"])
    assert len(asked) == 3
    files = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert len(files) == 3 and not any(b"secret" in path.read_bytes() for path in files)


def test_a_line_that_was_torn_is_asked_for_again(tmp_path):
    with server(chat("x")) as (url, asked):
        endpoint(url)(["a", "b"])
        (path,) = (tmp_path / "cache").rglob("*.jsonl")
        path.write_bytes(path.read_bytes()[:-10])
        assert endpoint(url)(["a", "b"]) == [["x"], ["x"]]
        assert endpoint(url)(["a", "b"]) == [["x"], ["x"]]
    assert len(asked) == 3


@pytest.mark.parametrize(
    "answer, status, match",
    [
        (b"no", 401, "refused .401.*Check api_key_env"),
        (b"no", 404, "refused .404.*Check endpoint and model"),
        (b"no", 429, "refused .429.*run again"),
        (b"no", 503, "refused .503.*run again"),
        (b"<html>", 200, "not that of a chat model: '<html>'"),
        (b'{"choices": []}', 200, "not that of a chat model"),
        (b'{"choices": [{"message": {"content": null}}]}', 200, "not that of a chat model"),
        (chat(" \n "), 200, "answered nothing to 'q'"),
    ],
)
def test_a_bad_answer_is_one_line_that_says_what_to_do(answer, status, match):
    with server(answer, status) as (url, _), pytest.raises(TrivetError, match=match) as caught:
        endpoint(url)(["q"])
    assert "\n" not in str(caught.value) and url in str(caught.value)


def test_a_redirect_is_not_followed_so_the_key_stays_with_its_server(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "secret")
    with server(chat("x")) as (other, elsewhere):
        headers = [("Location", other + "/chat/completions")]
        with server(b"", 302, headers) as (url, _), pytest.raises(TrivetError, match="302"):
            endpoint(url, key="SOME_KEY")(["q"])
    assert elsewhere == []


def test_a_server_that_is_not_there_is_named():
    with server(b"") as (url, _):
        pass
    with pytest.raises(TrivetError, match="cannot be reached"):
        endpoint(url)(["q"])


def test_a_server_that_hangs_is_given_up():
    released = threading.Event()
    with server(lambda _: released.wait(5) and b"") as (url, _):
        with pytest.raises(TrivetError, match="cannot be reached"):
            endpoint(url, timeout=0.2)(["q"])
        released.set()


def test_an_address_and_a_key_that_cannot_be_are_refused(monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(ConfigError, match="no address"):
        endpoint("file:///etc/hosts")
    with pytest.raises(ConfigError, match="NO_SUCH_KEY is not set"):
        endpoint("http://x", key="NO_SUCH_KEY")


def test_bmx_searches_with_what_a_model_answers():
    with server(lambda query: chat({"fox": "whale"}[query])) as (url, _):
        retriever = Bmx(endpoint=url, endpoint_model="m")
        retriever.index(Corpus(["a", "b"], ["", ""], ["red fox", "blue whale"]))
        found = retriever.search(["q"], ["fox"], 5).of(0)
    assert [name for name, _ in found] == ["a", "b"]
    assert retriever.describe()["endpoint_model"] == "m"
