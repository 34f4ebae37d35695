"""A ColBERT model on SciFact, end to end, against PyLate; a part of `make bench`.

The model has the layers of mxbai-edge-colbert-v0-17m, the vocabulary of the tokenizer at hand, and
random weights: what is timed depends on neither. Both encode all documents and queries at the same
lengths and find 100 documents for each query: PyLate through its PLAID index, trivet exactly.
Loading the model is not counted.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from pylate import indexes, models, retrieve
from torch import nn

from trivet.bench.folder import Folder
from trivet.bench.table import table
from trivet.core.machine import Machine, hardware
from trivet.core.places import asset
from trivet.core.records import Corpus
from trivet.models.backbone import Fresh
from trivet.models.colbert import ColBERT, add_markers
from trivet.models.colbert_layout import save_colbert
from trivet.models.heads import Projection
from trivet.models.tokens import Tokenizer
from trivet.retrieval.cache import Cache
from trivet.retrieval.colbert import ColbertRetriever

SHAPE = {
    "model_type": "modernbert",
    "vocab_size": 30522,
    "pad_token_id": 0,
    "bos_token_id": 101,
    "eos_token_id": 102,
    "cls_token_id": 101,
    "sep_token_id": 102,
    "hidden_size": 256,
    "intermediate_size": 384,
    "num_hidden_layers": 7,
    "num_attention_heads": 4,
    "local_attention": 128,
    "global_attn_every_n_layers": 3,
}
K = 100


def save_model(folder: Path) -> None:
    torch.manual_seed(0)
    encoder, inner = Fresh(SHAPE).load()
    markers = add_markers(encoder, inner)
    lengths = {"query": 48 - 3, "document": 300 - 3}  # PyLate counts markers and specials
    prompts = {"query": "", "document": ""}
    tokenizer = Tokenizer(inner, prompts=prompts, lengths=lengths, limit=8192, markers=markers)
    head = nn.Sequential(Projection(256, 512), Projection(512, 48))
    save_colbert(ColBERT(encoder, head, tokenizer), folder)


def peer(folder: Path, corpus: Corpus, queries: dict[str, str], room: Path):
    model = models.ColBERT(str(folder), device="cpu")
    marks = [time.perf_counter()]
    documents = model.encode(corpus.contents(), is_query=False, show_progress_bar=False)
    asked = model.encode(list(queries.values()), is_query=True, show_progress_bar=False)
    marks.append(time.perf_counter())
    index = indexes.PLAID(index_folder=str(room), index_name="bench", override=True)
    index.add_documents(documents_ids=corpus.ids, documents_embeddings=documents)
    marks.append(time.perf_counter())
    found = retrieve.ColBERT(index=index).retrieve(queries_embeddings=asked, k=K)
    marks.append(time.perf_counter())
    return marks, [{hit["id"] for hit in hits[:10]} for hits in found]


def ours(folder: Path, corpus: Corpus, queries: dict[str, str]):
    retriever = ColbertRetriever(str(folder), machine=Machine("cpu"), cache=Cache(use=False))
    retriever.load()
    marks = [time.perf_counter()]
    retriever.index(corpus)
    marks.append(time.perf_counter())
    ranking = retriever.search(list(queries), list(queries.values()), K)
    marks.append(time.perf_counter())
    return marks, [{name for name, _ in ranking.of(i)[:10]} for i in range(len(queries))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--documents", type=int, default=500)
    parser.add_argument("--queries", type=int, default=50)
    flags = parser.parse_args()
    task = Folder(path=str(asset("demo/scifact"))).load()
    n = flags.documents
    corpus = Corpus(task.corpus.ids[:n], task.corpus.titles[:n], task.corpus.texts[:n])
    queries = dict(list(task.queries.items())[: flags.queries])
    ratios, lines = [], []
    with tempfile.TemporaryDirectory() as room:
        folder = Path(room) / "model"
        folder.mkdir()
        save_model(folder)
        for number in range(flags.rounds):
            theirs, theirs_best = peer(folder, corpus, queries, Path(room) / str(number))
            mine, best = ours(folder, corpus, queries)
            ratios.append((theirs[-1] - theirs[0]) / (mine[-1] - mine[0]))
            same = [len(a & b) / 10 for a, b in zip(best, theirs_best, strict=True)]
            spans = [
                b - a for marks in (theirs, mine) for a, b in zip(marks, marks[1:], strict=False)
            ]
            lines.append(
                [str(number + 1), *(f"{span:.1f}" for span in spans), f"{ratios[-1]:.2f}",
                 f"{statistics.mean(same):.3f}"]
            )  # fmt: skip
    where = f"{hardware()['cpu']}, {torch.get_num_threads()} threads"
    print(f"{where}; {len(corpus)} documents, {len(queries)} queries; seconds")
    headers = ["round", "PyLate encode", "PLAID build", "retrieve", "trivet encode"]
    headers += ["queries, search", "ratio", "PLAID has of the exact 10"]
    print(table(headers, lines))
    print(f"ratio, median: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
