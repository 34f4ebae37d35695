"""LIMIT's queries by the word pieces of what they ask for: limits.py QUERIES LABEL...

From the ledger: how much of recall@100 is lost where a thing is not one word piece.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from trivet.core.places import asset
from trivet.models.loading import load_tokenizer

LEDGER = Path("results/ledger.jsonl")


def main(queries: Path, labels: list[str]) -> None:
    inner = load_tokenizer(asset("tokenizers/bert-base-uncased"))
    pieces: dict[str, int] = {}
    for line in queries.read_text("utf-8").splitlines():
        row = json.loads(line)
        thing = row["text"].removeprefix("Who likes ").removesuffix("?")
        pieces[row["_id"]] = min(5, len(inner.tokenize(thing)))
    rows = [json.loads(line) for line in LEDGER.read_text("utf-8").splitlines()]
    for label in labels:
        row = [r for r in rows if r["label"] == label and r["bench"] == "limit"][-1]
        scores = json.loads((LEDGER.parent / row["per_query"]).read_text("utf-8"))
        found: dict[int, list[float]] = defaultdict(list)
        for query, score in zip(scores["queries"], scores["recall@100"], strict=True):
            found[pieces[query]].append(score)
        print(label, {n: f"{np.mean(found[n]):.3f} of {len(found[n])}" for n in sorted(found)})


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
