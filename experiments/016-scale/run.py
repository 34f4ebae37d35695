"""The table of docs/scale.md: stage 1 of edge17m on 8, 64 and 256 GPUs, from stated figures."""

from __future__ import annotations

import numpy as np

from trivet.cli.compose import composed, prepare
from trivet.core.places import cache_folder
from trivet.core.schema import build
from trivet.models.backbone import Fresh
from trivet.models.tokens import Tokenizer
from trivet.stages.scale import Cluster, Training, project
from trivet.training.meter import _PEAKS

ROWS = 197_000_000  # arXiv 2510.14880, table 1; CornStack's six sources have no count of their own
BANDWIDTH = 50e9  # a DGX H100's 400 Gb/s a GPU between machines, as published
SHAPE = {"vocab_size": 50368, "hidden": 256, "inner": 384, "layers": 7}  # Ettin 17M's


def weights() -> tuple[int, int]:
    """Those that are multiplied with every token, and all."""
    hidden, inner = SHAPE["hidden"], SHAPE["inner"]
    layer = 4 * hidden * hidden + 3 * hidden * inner  # attention, and a gated layer
    moved = SHAPE["layers"] * layer
    return moved, moved + SHAPE["vocab_size"] * hidden


def tokens_of_a_pair(limit: int) -> float:
    """Measured: SciTLDR, which ships, at the recipe's lengths, with BERT's vocabulary."""
    source = build(composed("train", ["+exp=tiny"])["stages"]["pretrain"]["data"]).sources[0]
    shape = {"model_type": "bert", "vocab_size": 30522, "hidden_size": 16, "intermediate_size": 16,
             "num_hidden_layers": 1, "num_attention_heads": 1}  # fmt: skip
    _, inner = Fresh(shape).load()
    sides = {"query": limit, "document": limit}
    tokenizer = Tokenizer(inner, prompts={"query": "", "document": ""}, lengths=sides, limit=512)
    table, total = source.open(cache_folder()), 0
    rows = table.read(np.arange(len(table)))
    for side, texts in (("query", rows.queries), ("document", [d[0] for d in rows.documents])):
        total += len(tokenizer(texts, side).ids.values)
    return total / len(table)


def main() -> None:
    prepare()
    config = composed("train", ["+exp=edge17m"])
    data = build(config["stages"]["pretrain"]["data"])
    batch = config["stages"]["pretrain"]["fit"]["batch"]
    counted = sum(source.expected or 0 for source in data.sources)
    limit = config["stages"]["start"]["lengths"]["document"]
    moved, parameters = weights()
    print(
        f"rows {ROWS:,} (the configs count {counted:,} of them), batch {batch:,}, "
        f"{ROWS // batch:,} steps; weights {moved:,} of {parameters:,}"
    )
    measured = tokens_of_a_pair(limit)
    print(f"tokens of a pair: {measured:.0f} in SciTLDR (measured), at most {2 * (limit + 2)}\n")
    print("| tokens | GPUs | reached | encoder h | scores h | exchange h | hours | GPU-hours |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    for tokens in (measured, 2.0 * (limit + 2)):
        for gpus in (8, 64, 256):
            for reached in (0.05, 0.2):
                training = Training(ROWS, tokens, moved, parameters, SHAPE["hidden"], batch, True)
                found = project(training, Cluster(gpus, _PEAKS["H100"], reached, BANDWIDTH))
                parts = (found.encoder, found.scores, found.exchange, found.hours)
                cells = " | ".join(f"{part:.3f}" for part in parts)
                cost = found.hours * gpus
                print(f"| {tokens:.0f} | {gpus} | {reached:.0%} | {cells} | {cost:.1f} |")


if __name__ == "__main__":
    main()
