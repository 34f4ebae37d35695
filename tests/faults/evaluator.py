"""As zygote.py, for evaluations: a tiny dense model with random weights on made-up documents.

With a second argument it evaluates once in that folder, and ends: so torchrun's processes are
played, which must not be forks of one.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from zygote import serve, slow_writes

from trivet.bench import trec
from trivet.core import files
from trivet.core.schema import build
from trivet.models.backbone import Fresh
from trivet.models.dense import Dense
from trivet.models.layout import save_dense
from trivet.models.tokens import Tokenizer
from trivet.retrieval import encode, vectors

encode._CHUNK = 4
DOCUMENTS, QUERIES = 60, 12
WORDS = ["fox", "whale", "hill", "river", "stone", "cloud", "winter", "bread", "paper", "road"]
SHAPE = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


def write_world(root: Path) -> None:
    """The model and a folder in BEIR layout; half of the texts are longer than the limit."""
    torch.manual_seed(0)
    encoder, inner = Fresh(SHAPE).load()
    lengths, prompts = {"query": 6, "document": 6}, {"query": "", "document": ""}
    tokenizer = Tokenizer(inner, prompts=prompts, lengths=lengths, limit=512)
    (root / "model").mkdir()
    save_dense(Dense(encoder, tokenizer), root / "model")
    rng = np.random.default_rng(0)

    def texts(letter: str, count: int) -> str:
        drawn = [" ".join(rng.choice(WORDS, rng.integers(1, 12))) for _ in range(count)]
        rows = [{"_id": f"{letter}{i}", "text": text} for i, text in enumerate(drawn)]
        return "".join(json.dumps(row) + "\n" for row in rows)

    (root / "task" / "qrels").mkdir(parents=True)
    (root / "task" / "corpus.jsonl").write_text(texts("d", DOCUMENTS))
    (root / "task" / "queries.jsonl").write_text(texts("q", QUERIES))
    judged = [f"q{i}\td{j}\t1\n" for i in range(QUERIES) for j in rng.choice(DOCUMENTS, 3, False)]
    (root / "task" / "qrels" / "test.tsv").write_text("query\tcorpus\tscore\n" + "".join(judged))


def child(folder: Path, pause_at: int | None) -> int:
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    if pause_at is not None:
        slow_writes(folder, pause_at, (files, trec, vectors))
    machine = {"device": "cpu", "threads": 1}
    task = {"_target_": "trivet.bench.folder.Folder", "path": str(folder.parent / "task")}
    retriever = {
        "_target_": "trivet.retrieval.dense.DenseRetriever",
        "model": str(folder.parent / "model"),
        "cache": {"folder": str(folder / "vectors")},
        "machine": machine,
    }
    config = {
        "_target_": "trivet.bench.evaluation.Evaluation",
        "bench": {"name": "faults", "tasks": [task], "metrics": ["ndcg@10", "map"]},
        "retriever": retriever,
        "ledger": str(folder / "results" / "ledger.jsonl"),
        "k": 20,
    }
    build(config).run("the command")
    return 0


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(child(Path(sys.argv[2]), None))
    write_world(Path(sys.argv[1]))
    serve(child)
