import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from trivet.core.errors import ConfigError, TrivetError
from trivet.core.machine import Machine
from trivet.data.columns import Columns
from trivet.data.sources import Source
from trivet.mining.teachers import EndpointTeacher, ModelTeacher
from trivet.mining.vectors import teach
from trivet.models.backbone import Fresh
from trivet.models.dense import Dense
from trivet.models.layout import load_dense, save_dense
from trivet.models.tokens import Tokenizer
from trivet.retrieval import server as module

MACHINE = Machine("cpu")
TEXTS = ["red", "a green thing", "blue and grey and " * 9, "white"]
SHAPE = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("teacher")
    encoder, inner = Fresh(SHAPE).load()
    prompts = {"query": "find: ", "document": ""}
    tokenizer = Tokenizer(inner, prompts=prompts, lengths={"query": 20, "document": 20}, limit=512)
    save_dense(Dense(encoder, tokenizer), made)
    return made


@pytest.fixture(autouse=True)
def apart(monkeypatch):
    """No proxy between the test and its server, and no waiting for it."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(module.time, "sleep", lambda _: None)


def encoded(teacher, side):
    (shard,) = teacher.encode(TEXTS, side, [[2, 0, 3]], MACHINE)
    assert shard.rows.tolist() == [2, 0, 3]
    return shard


@pytest.mark.parametrize("side", ["query", "document"])
@pytest.mark.parametrize(
    "given", [{}, {"prompts": {"query": "q: ", "document": "d: "}, "lengths": {"document": 6}}]
)
def test_both_loaders_give_the_models_own_vectors(folder, side, given):
    model = load_dense(folder).eval()
    model.tokenizer.prompts = model.tokenizer.prompts | given.get("prompts", {})
    model.tokenizer.lengths = model.tokenizer.lengths | given.get("lengths", {})
    tokens = model.tokenizer([TEXTS[2], TEXTS[0], TEXTS[3]], side)
    with torch.no_grad():
        want = model(tokens.ids)
    for loader in ("trivet", "sentence-transformers"):
        lengths = {"query": 20, "document": 20} | given.get("lengths", {})
        found = encoded(
            ModelTeacher(str(folder), loader=loader, **(given | {"lengths": lengths})), side
        )
        torch.testing.assert_close(found.vectors, want, atol=1e-5, rtol=0)
        assert found.truncated == tokens.truncated == 1


@pytest.mark.parametrize("causal", [True, False])
def test_a_decoders_first_token_sees_the_last_one_only_where_it_is_told_to(tmp_path, causal):
    from transformers import AutoConfig, AutoModel

    _, inner = Fresh(SHAPE).load()
    shape = {name: value for name, value in SHAPE.items() if name != "model_type"}
    encoder = AutoModel.from_config(
        AutoConfig.for_model("qwen2", **shape, num_key_value_heads=2), attn_implementation="sdpa"
    )
    tokenizer = Tokenizer(inner, prompts={}, lengths={"query": 20, "document": 20}, limit=512)
    save_dense(Dense(encoder, tokenizer, pooling="cls"), tmp_path)
    teacher = ModelTeacher(str(tmp_path), loader="sentence-transformers", bidirectional=not causal)
    (shard,) = teacher.encode(["red fox", "red whale"], "query", [[0, 1]], MACHINE)
    assert torch.allclose(shard.vectors[0], shard.vectors[1], atol=1e-6) == causal
    with pytest.raises(ConfigError, match="needs the library's loader"):
        ModelTeacher(str(tmp_path), bidirectional=True)


def test_a_teachers_name_is_its_content_and_a_pinned_one_needs_no_download(folder):
    commit = "0" * 40
    assert ModelTeacher("some/model", commit).fingerprint() == ["some/model", commit]
    assert len(ModelTeacher(str(folder)).fingerprint()) == 64


@contextmanager
def server(answer, statuses=()):
    """An address, and what it was asked: (path, authorization, body)."""
    asked, codes = [], list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, self.headers.get("Authorization"), body))
            data = answer(body["input"])
            self.send_response(codes.pop(0) if codes else 200)
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


def vectors(texts):
    """Each text's length, its first letter and 1, in another order than asked."""
    rows = [
        {"index": i, "embedding": [float(len(text)), float(ord(text[0])), 1.0]}
        for i, text in enumerate(texts)
    ]
    return json.dumps({"data": rows[::-1]}).encode()


def test_a_server_is_asked_in_batches_and_its_answers_stand_in_their_place(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "secret")
    with server(vectors) as (url, asked):
        teacher = EndpointTeacher(
            "m", url, "SOME_KEY", prompts={"query": "q: "}, batch=2, characters=10
        )
        found = encoded(teacher, "query")
    texts = ["q: " + text[:10] for text in (TEXTS[2], TEXTS[0], TEXTS[3])]
    assert [body["input"] for _, _, body in asked] == [texts[:2], texts[2:]]
    assert {(path, key) for path, key, _ in asked} == {("/v1/embeddings", "Bearer secret")}
    assert {body["model"] for _, _, body in asked} == {"m"}
    assert found.vectors.tolist() == [[float(len(t)), float(ord("q")), 1.0] for t in texts]
    assert found.truncated == 1


def test_the_key_is_written_nowhere(monkeypatch, tmp_path):
    monkeypatch.setenv("SOME_KEY", "verysecret")
    path = tmp_path / "texts.jsonl"
    path.write_text('{"t": "one"}\n{"t": "two"}\n')
    rows = Source("s", Columns(text="t"), path=str(path)).open(tmp_path / "c")
    with server(vectors) as (url, asked):
        for _ in range(2):
            found = teach(EndpointTeacher("m", url, "SOME_KEY"), rows, tmp_path / "v", MACHINE)
    assert len(asked) == 1
    assert found.documents is not None and found.documents[[1]].norm().item() == pytest.approx(1)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 4
    assert not any(b"verysecret" in path.read_bytes() for path in files)


def test_a_server_that_is_busy_is_asked_again_and_in_the_end_given_up():
    with server(vectors, [429, 503]) as (url, asked):
        encoded(EndpointTeacher("m", url, retries=2), "query")
        assert len(asked) == 3
    with server(vectors, [503] * 9) as (url, asked):
        with pytest.raises(TrivetError, match="refused .503.*run again"):
            encoded(EndpointTeacher("m", url, retries=2), "query")
        assert len(asked) == 3


def test_a_server_that_says_no_is_not_asked_again():
    with server(vectors, [401] * 9) as (url, asked):
        with pytest.raises(TrivetError, match="Check api_key_env"):
            encoded(EndpointTeacher("m", url, retries=5), "query")
        assert len(asked) == 1


@pytest.mark.parametrize(
    "rows",
    [
        None,
        [{"index": 0, "embedding": [1.0]}],
        [{"index": i, "embedding": [1.0] * (i + 1)} for i in range(3)],
        [{"index": i, "embedding": "text"} for i in range(3)],
        [{"index": i, "embedding": [float("nan")]} for i in range(3)],
        [{"index": i, "embedding": 1.0} for i in range(3)],
    ],
)
def test_an_answer_that_is_no_vectors_is_one_line(rows):
    with server(lambda _: json.dumps({"data": rows}).encode()) as (url, _):
        with pytest.raises(TrivetError, match="not that of an embedding model") as caught:
            encoded(EndpointTeacher("m", url), "query")
        assert "\n" not in str(caught.value) and url in str(caught.value)


@pytest.mark.parametrize("fields", [{"batch": 0}, {"characters": 0}, {"dim": 0}, {"timeout": 0.0}])
def test_settings_that_cannot_be_are_refused(fields):
    with pytest.raises(ConfigError):
        EndpointTeacher("m", "http://x", **fields)
    with pytest.raises(ConfigError, match="no address"):
        EndpointTeacher("m", "ftp://x")
