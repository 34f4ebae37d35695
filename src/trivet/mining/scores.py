"""A reranker's scores of each query's documents: what a late-interaction model is taught by.

A row of pairs with negatives, or of tuples, becomes a row of n documents with n scores. A teacher
whose scores saturate, nearly all at one end or the other, teaches little
(https://arxiv.org/abs/2510.14880, table 5), so the statistics say how far they do; a ColBERT
model's sums are no logits, and have no ends.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from trivet.core.artifact import Artifact, Store, artifact_key
from trivet.core.errors import ConfigError, DataError
from trivet.core.files import write_json
from trivet.core.versions import library_versions
from trivet.data.sources import Source
from trivet.mining.keys import recipe
from trivet.mining.rows import origin, write_rows
from trivet.mining.shards import Facts, Shards, find, make
from trivet.retrieval.rerankers import Reranker

_SHARD = 256  # rows
_ENDS = 0.01  # of the logistic function: a score beyond it is saturated


@dataclass(kw_only=True)
class Scores:
    """Who scores."""

    kind: ClassVar[str] = "scores"
    version: ClassVar[int] = 2

    reranker: Reranker
    """Scores a query and a document together."""

    def key(self, source: Source) -> str:
        """The name of what will be made."""
        return artifact_key(self.kind, self.version, [recipe(self), recipe(source)], [])

    def run(self, source: Source, store: Store, cache: Path | None = None) -> Artifact:
        """Score a source, or find what was scored before; several processes share the work."""
        key = self.key(source)
        found = find(store, self.kind, key)
        if found is not None:
            return found
        scoring = Scoring(self, source, cache)
        return make(store, self.kind, key, scoring.work, scoring.write)


class Scoring:
    """One source at work."""

    def __init__(self, settings: Scores, source: Source, cache: Path | None) -> None:
        """Open the rows; each must have something to compare."""
        self.settings, self.source = settings, source
        self.table = source.open(cache)
        if self.table.kind == "texts":
            fix = "Map columns to query, positive and negatives"
            raise ConfigError(f"{source.name} holds texts, not pairs", fix=fix)
        if len(self.table.read(np.array([0])).documents[0]) < 2:
            fix = "Mine negatives first: trivet mine --pairs …"
            raise ConfigError(f"{source.name} has one document a query", fix=fix)
        self.shards = range(-(-len(self.table) // _SHARD))

    def work(self, shards: Shards) -> None:
        """Score shard by shard."""
        shards.work(self.shards, self._shard, f"score {self.source.name}")

    def write(self, folder: Path, shards: Shards) -> Facts:
        """The rows and the statistics, from all shards."""
        counts: Counter[str] = Counter()
        write_rows(folder, self._rows(shards, counts), self.source.name, "Give it rows")
        teacher = self.settings.reranker.describe()
        statistics = _statistics(counts, logits=teacher["kind"] != "colbert")
        write_json(folder / "statistics.json", statistics)
        return {
            "source": origin(self.source),
            "columns": {"query": "query", "documents": "documents", "scores": "scores"},
            "recipe": recipe(self.settings),
            "teacher": teacher,
            "statistics": statistics,
            "versions": library_versions(),
        }

    def _shard(self, number: int) -> list[list[float]]:
        batch = self.table.read(np.arange(number * _SHARD, self._end(number)))
        pairs = [
            (query, document)
            for query, documents in zip(batch.queries, batch.documents, strict=True)
            for document in documents
        ]
        found = self.settings.reranker.score(pairs).tolist()
        rows: list[list[float]] = []
        for documents, name in zip(batch.documents, batch.ids, strict=True):
            rows.append([round(score, 6) for score in found[: len(documents)]])
            del found[: len(documents)]
            if not all(map(math.isfinite, rows[-1])):
                raise DataError("a score is not a number", where=name, fix="Try precision=fp32")
        return rows

    def _end(self, number: int) -> int:
        return min(len(self.table), (number + 1) * _SHARD)

    def _rows(self, shards: Shards, counts: Counter[str]) -> Iterator[dict[str, Any]]:
        scored = (row for shard in shards.read(self.shards) for row in shard)
        for (_, query, documents), scores in zip(self.table.texts(), scored, strict=True):
            _count(counts, scores)
            yield {"query": query, "documents": documents, "scores": scores}


def _count(counts: Counter[str], scores: list[float]) -> None:
    ends = [1 / (1 + math.exp(-max(-60.0, min(60.0, score)))) for score in scores]
    counts["rows"] += 1
    counts["scores"] += len(scores)
    counts["first is best"] += scores[0] > max(scores[1:])
    counts["high"] += sum(end > 1 - _ENDS for end in ends)
    counts["low"] += sum(end < _ENDS for end in ends)
    counts["flat"] += max(scores) - min(scores) < 1e-6


def _statistics(counts: Counter[str], logits: bool) -> dict[str, Any]:
    """How often the first document is better than all others, how many rows have one score alone,
    and how far logits saturate."""
    rows, scores = max(1, counts["rows"]), max(1, counts["scores"])
    ends = {
        "above_0.99": round(counts["high"] / scores, 4),
        "below_0.01": round(counts["low"] / scores, 4),
    }
    return {
        "rows": {"read": counts["rows"], "written": counts["rows"]},
        "scores": counts["scores"],
        "first_is_best": round(counts["first is best"] / rows, 4),
        **(ends if logits else {}),
        "flat_rows": round(counts["flat"] / rows, 4),
    }
