"""A small world to mine: texts of few words, and a retriever that anyone can check."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trivet.core.records import Ranking
from trivet.core.schema import unkeyed
from trivet.data.columns import Columns
from trivet.data.sources import Source
from trivet.mining.negatives import Judge, Miner, Negatives
from trivet.retrieval.bm25 import Bm25
from trivet.retrieval.topk import id_order, topk

WORDS = [f"{a}{b}" for a in ("fox", "owl", "whale", "hen") for b in "abcdefgh"]


def similar(one: str, other: str) -> float:
    """Shared words over all words; a float32, so that ties and thresholds are exact."""
    first, second = set(one.lower().split()), set(other.lower().split())
    return float(np.float32(len(first & second) / len(first | second)))


@dataclass
class Shared:
    """Finds by shared words; it counts its searches and can be told to die at one."""

    dies_at: int | None = unkeyed(None)
    searches: int = field(default=0, init=False)
    _state: dict[str, Any] = field(default_factory=dict[str, Any], init=False, repr=False)

    def index(self, corpus):
        self._state = {"texts": corpus.contents(), "ids": corpus.ids}

    def search(self, ids, texts, k):
        import torch

        if self.searches == self.dies_at:
            raise KeyboardInterrupt
        self.searches += 1
        documents = self._state["texts"]
        scores = np.array([[similar(text, d) for d in documents] for text in texts], np.float32)
        rows, best = topk(torch.from_numpy(scores), k, id_order(self._state["ids"]))
        return Ranking(ids, self._state["ids"], rows, best)

    def pair_scores(self, texts, rows):
        documents = self._state["texts"]
        return np.array(
            [
                [similar(text, documents[row]) if row >= 0 else np.nan for row in own]
                for text, own in zip(texts, rows.tolist(), strict=True)
            ],
            np.float32,
        )

    def describe(self):
        return {"kind": "shared", "model_key": None}


def world(path, count=150, seed=0):
    """Pairs in a file: some queries and some documents stand in several rows."""
    draw = np.random.default_rng(seed)
    texts = [" ".join(draw.choice(WORDS, draw.integers(4, 9))) for _ in range(count)]
    rows = []
    for text in texts:
        words = text.split()
        rows.append({"query": " ".join(words[:3]), "positive": text})
    for row in rows[:20]:
        other = f"{row['query']} {draw.choice(texts)}"
        rows.append({"query": row["query"].upper(), "positive": other})
        rows.append({"query": row["query"], "positive": row["positive"] + " " + row["query"]})
    path.write_text("\n".join(map(json.dumps, rows)))
    return source(path)


def source(path, **given):
    return Source("animals", Columns(query="query", positive="positive"), path=str(path), **given)


def negatives(shared=None, **given):
    """Settings with both kinds of miner and random draws."""
    miners = {"shared": Miner(shared or Shared(), 0.35), "bm25": Miner(Bm25(), 0.35)}
    plain = {"miners": miners, "random": 0.30, "judge": Judge("shared", 0.5), "number": 5}
    plain |= {"depth": 30, "pool": 8, "shingle": 2}
    return Negatives(**{**plain, **given})


__all__ = ["Shared", "negatives", "similar", "source", "world"]
