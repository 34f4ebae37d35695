"""A language model behind a server, stood in for by one that knows a word."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from trivet.core.errors import ConfigError, TrivetError
from trivet.report.latent_judge import Judge


@contextmanager
def server(answer):
    """An address, and the bodies it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, self.headers["Authorization"], body))
            said = answer(body["messages"][0]["content"])
            data = json.dumps({"choices": [{"message": {"content": said}}]}).encode()
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


@pytest.mark.parametrize(
    ("said", "kind"),
    [("Lexical.", "lexical"), ("narrow semantic", "narrow semantic"), ("BROAD", "broad topical")],
)
def test_a_model_is_shown_the_card_and_no_score(cards, monkeypatch, said, kind):
    monkeypatch.setenv("A_KEY", "a secret")
    one = cards(2)[1]
    with server(lambda _: said) as (url, asked):
        assert Judge("a-model", url=url, api_key_env="A_KEY").kind(one) == kind
    path, key, body = asked[0]
    assert (path, key, body["model"]) == ("/v1/chat/completions", "Bearer a secret", "a-model")
    assert body["temperature"] == 0
    text = body["messages"][0]["content"]
    assert "apple 60%, other 25%" in text and f"[[{one.tokens[0][0]}]]" in text
    assert one.kind not in text.split("Tokens by weight")[1].split("Answer")[0]
    assert str(one.area.value) not in text


@pytest.mark.parametrize("said", ["a word", "lexical or broad topical", ""])
def test_an_answer_that_names_no_kind_or_two_is_none(cards, said):
    with server(lambda _: said) as (url, _):
        assert Judge("a-model", url=url).kind(cards(1)[0]) is None


def test_a_server_that_is_not_there_is_told_in_one_line(cards, free_port):
    judge = Judge("a-model", url=f"http://127.0.0.1:{free_port}", retries=0)
    with pytest.raises(TrivetError, match="cannot be reached .*Start it, and run again"):
        judge.kind(cards(1)[0])


def test_a_prompt_must_show_the_latent():
    with pytest.raises(ConfigError, match="prompt: must hold {contexts}"):
        Judge("a-model", url="http://127.0.0.1:1", prompt="What is {tokens}?")


def test_a_judge_is_configured_and_its_shares_stand_beside_the_rules(cards, page_of):
    from dataclasses import replace

    from trivet.report.latent_text import share_table

    judged = [replace(one, judged="broad topical") for one in cards(30)]
    assert "by the judge" in share_table(judged) and "100% [89%, 100%]" in share_table(judged)
    assert "by the judge" not in share_table(cards(30))
    one_silent = [replace(judged[0], judged=None), *judged[1:]]
    assert share_table(one_silent).endswith("the judge named no kind, or two, of 1 latents")
    assert "by a language model" in page_of(judged)
