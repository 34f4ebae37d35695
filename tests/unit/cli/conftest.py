"""A dense model with random weights, and `trivet` called without a process of its own."""

import json
import logging

import pytest

from trivet.cli.main import main
from trivet.models.backbone import Fresh
from trivet.models.colbert import ColBERT, add_markers
from trivet.models.colbert_layout import save_colbert
from trivet.models.dense import Dense
from trivet.models.layout import save_dense
from trivet.models.projections import FeedForward, draw
from trivet.models.tokens import Tokenizer

SHAPE = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """Its folder; texts of more than four tokens are cut."""
    folder = tmp_path_factory.mktemp("model")
    encoder, inner = Fresh(SHAPE).load()
    lengths, prompts = {"query": 4, "document": 4}, {"query": "", "document": ""}
    tokenizer = Tokenizer(inner, prompts=prompts, lengths=lengths, limit=512)
    save_dense(Dense(encoder, tokenizer), folder)
    return str(folder)


@pytest.fixture(scope="session")
def colbert(tmp_path_factory):
    """The folder of a ColBERT model with random weights."""
    folder = tmp_path_factory.mktemp("colbert")
    encoder, inner = Fresh(SHAPE).load()
    markers = add_markers(encoder, inner)
    lengths, prompts = {"query": 8, "document": 12}, {"query": "", "document": ""}
    tokenizer = Tokenizer(inner, prompts=prompts, lengths=lengths, limit=512, markers=markers)
    save_colbert(ColBERT(encoder, draw(FeedForward(dim=8), 32, 0), tokenizer), folder)
    return str(folder)


@pytest.fixture
def zoo(tmp_path):
    """A function that writes a folder in BEIR layout, parts of it replaced."""

    def write(corpus=None, queries=None, qrels="q1\ta\t1\nq2\tb\t2\n", name="zoo"):
        folder = tmp_path / name
        (folder / "qrels").mkdir(parents=True)
        texts = {"a": "a red fox", "b": "a blue whale", "c": "a green hill and a road", "d": "owl"}
        corpus = corpus or [{"_id": k, "text": v} for k, v in texts.items()]
        queries = queries or [{"_id": "q1", "text": "fox"}, {"_id": "q2", "text": "whale"}]
        (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)))
        (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
        (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + qrels)
        return str(folder)

    return write


@pytest.fixture
def trivet(tmp_path, monkeypatch, capsys):
    """A function that runs words in a folder of their own: exit status, output, errors."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("TRIVET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(logging.getLogger("trivet"), "propagate", True)
    monkeypatch.setattr(logging.getLogger("trivet"), "handlers", [])

    def run(*words):
        capsys.readouterr()
        logging.getLogger("trivet").handlers.clear()  # they write to the last test's stream
        try:
            status = main([str(word) for word in words])
        except SystemExit as stop:
            status = stop.code
        done = capsys.readouterr()
        return status, done.out, done.err

    return run


@pytest.fixture
def rows(tmp_path):
    """A function that reads the ledger of those words."""
    from trivet.bench.ledger import Ledger

    return lambda: list(Ledger(tmp_path / "work" / "results" / "ledger.jsonl").read())
