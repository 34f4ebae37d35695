"""A hub on this machine with a way to ask it, and a ledger of rows made by hand."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trivet.bench.evaluate import Result
from trivet.bench.ledger import Ledger
from trivet.bench.task import Task
from trivet.core.records import Corpus, Ranking

_SPEC = importlib.util.spec_from_file_location(
    "hub_server", Path(__file__).parent / "hub_server.py"
)
hub_server = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(hub_server)


@pytest.fixture
def hub():
    """A stand-in for the model hub, empty."""
    return hub_server.Hub()


@pytest.fixture
def serve():
    """A context manager that serves a hub and gives its address."""
    return hub_server.serve


@pytest.fixture
def url(hub):
    """Where it answers."""
    with hub_server.serve(hub) as address:
        yield address


@pytest.fixture
def ask(tmp_path):
    def ask(code, url, *, offline=False, fresh="1", **fields):
        env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        env |= {"HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
        env |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "1" if offline else "0"}
        env |= {"HF_HUB_ETAG_TIMEOUT": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "1", "NO_PROXY": "127.0.0.1"}
        command = [sys.executable, "-c", code, json.dumps(fields), str(tmp_path / f"cache{fresh}")]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert len(done.stdout.strip().splitlines()) == 1
        return done.stdout.strip()

    return ask


@pytest.fixture
def ledger(tmp_path):
    """An empty ledger."""
    return Ledger(tmp_path / "results" / "ledger.jsonl")


@pytest.fixture
def add(ledger):
    """A function that adds a row with these scores; without lengths it is a lexical one."""

    def add(label, scores, **given):
        queries = given.get("queries") or [f"q{i}" for i in range(len(scores))]
        relevant = given.get("relevant") or {query: [f"of {query}"] for query in queries}
        documents = sorted({document for found in relevant.values() for document in found})
        size = len(documents)
        task = Task(
            name=given.get("task", "zoo"),
            split=given.get("split", "test"),
            corpus=Corpus(documents, [""] * size, ["text"] * size),
            queries=dict.fromkeys(queries, "a question"),
            qrels={query: dict.fromkeys(relevant[query], 1) for query in queries},
            fingerprint=given.get("data", "f" * 64),
            drop_self=given.get("drop_self", False),
        )
        nothing = np.full((len(queries), 1), -1)
        ranking = Ranking(queries, documents, nothing, nothing.astype(np.float32))
        values = np.array(scores, dtype=np.float64)
        lengths = given.get("lengths", {})
        retriever = {
            "kind": "dense" if lengths else "bm25",
            "model": label,
            "model_key": "key" if lengths else None,
            "precision": "fp32",
            "prompts": given.get("prompts", {"query": ""} if lengths else {}),
            "lengths": lengths,
            "in_domain": [task.name] if given.get("in_domain") else [],
            "trained_on": [],
            "train_seed": given.get("seed"),
        }
        metric = given.get("metric", "ndcg@10")
        result = Result(
            task=task,
            k=given.get("k", 10),
            metrics={metric: float(values.mean())},
            per_query={metric: values},
            ranking=ranking,
            seconds={"index": 0.1},
            retriever=retriever,
        )
        return ledger.add(
            result,
            bench=given.get("bench", "animals"),
            command=given.get("command", "c"),
            label=label,
            sweep=given.get("sweep"),
        )

    return add


@pytest.fixture(scope="session")
def latent_folder(tmp_path_factory):
    """A small model with a sparse autoencoder, random but for its seed: 40 latents, 3 a token."""
    from trivet.core.places import asset
    from trivet.models.backbone import Fresh
    from trivet.models.latent import Latent, save_latent
    from trivet.models.loading import load_tokenizer
    from trivet.models.sae import TopK
    from trivet.models.tokens import Tokenizer

    shape = {"model_type": "bert", "vocab_size": 30522, "hidden_size": 16}
    shape |= {"intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    encoder, _ = Fresh(shape | {"initializer_range": 0.5}, seed=0).load()
    inner = load_tokenizer(asset("tokenizers/bert-base-uncased"))
    lengths, prompts = {"query": 16, "document": 24}, {"query": "", "document": ""}
    tokenizer = Tokenizer(inner, prompts=prompts, lengths=lengths, limit=32)
    sae = TopK(16, 40, 3)
    sae.draw(0)
    folder = tmp_path_factory.mktemp("latent")
    save_latent(Latent(encoder, sae, tokenizer).eval(), folder)
    return str(folder)
