"""A language model behind a server, stood in for by one that knows a word."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from trivet.core.errors import ConfigError, TrivetError
from trivet.retrieval.endpoint_reranker import EndpointYesNo
from trivet.retrieval.rerankers import Reranker


@contextmanager
def server(answer):
    """An address, and the bodies it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, body))
            data = json.dumps(answer(body["messages"][0]["content"])).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{made.server_address[1]}/v1", asked
    finally:
        made.shutdown()
        made.server_close()


def likely(**tokens):
    top = [{"token": token, "logprob": value} for token, value in tokens.items()]
    return {"choices": [{"logprobs": {"content": [{"top_logprobs": top}]}}]}


def judged(text):
    if "whale" in text:
        return likely(**{"1": -0.1, " 0": -2.6, "the": -4.0})
    return likely(**{"0": -0.2, "the": -5.0})  # a 1 is not among the likeliest


def test_a_score_is_how_much_likelier_the_one_answer_is():
    with server(judged) as (url, asked):
        reranker = EndpointYesNo("judge", url=url, characters=30)
        found = reranker.score([("big", "a whale " * 9), ("big", "an ant")])
    assert isinstance(reranker, Reranker)
    assert found.tolist() == pytest.approx([2.5, -4.8])
    path, body = asked[0]
    assert path == "/v1/chat/completions" and body["model"] == "judge"
    assert (body["max_tokens"], body["logprobs"], body["temperature"]) == (1, True, 0)
    assert "query: big\n" in body["messages"][0]["content"]
    assert body["messages"][0]["content"].count("whale") == 3  # cut


def test_a_server_that_tells_no_likelihoods_is_refused_in_one_line():
    said = "not that of a chat model that tells likelihoods"
    silent = server(lambda _: {"choices": [{"message": {"content": "1"}}]})
    with silent as (url, _), pytest.raises(TrivetError, match=said):
        EndpointYesNo("judge", url=url).score([("a", "b")])


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match="template"):
        EndpointYesNo("judge", url="http://127.0.0.1:1/v1", template="{document}")
    with pytest.raises(ConfigError, match="characters"):
        EndpointYesNo("judge", url="http://127.0.0.1:1/v1", characters=0)
