"""The consistency filter: a pair stays if its document is among the first found for its query.

nomic-embed (https://arxiv.org/abs/2402.01613, section 3) trains on pairs that a weaker model ranks
in the first 2 among up to a million documents of the same source; what is left out is mostly not
about its query at all. A source is read in blocks of so many rows, so that it may be of any size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from trivet.core.artifact import Artifact, Store, artifact_key
from trivet.core.errors import ConfigError
from trivet.core.files import write_json
from trivet.core.versions import library_versions
from trivet.data.sources import Source
from trivet.mining.documents import Documents
from trivet.mining.keys import recipe
from trivet.mining.rows import origin, write_rows
from trivet.mining.shards import Facts, Shards, find, make
from trivet.retrieval.protocol import Retriever

_SHARD = 4096  # queries


@dataclass(kw_only=True)
class Consistency:
    """Who judges, and how strictly."""

    kind: ClassVar[str] = "consistent"
    version: ClassVar[int] = 2

    retriever: Retriever
    """Ranks the documents of a block for each of its queries."""
    k: int = 2
    """A pair stays if its document is among the first so many."""
    sample: int = 1_000_000
    """Rows that are searched among each other, at most; blocks of a source are of one size."""

    def __post_init__(self) -> None:
        """Something must be found among something else."""
        if self.k < 1:
            raise ConfigError("must be at least 1", where="k")
        if self.sample <= self.k:
            what = f"among {self.sample} documents all are in the first {self.k}"
            raise ConfigError(what, where="sample", fix="Set a larger one")

    def key(self, source: Source) -> str:
        """The name of what will be left."""
        return artifact_key(self.kind, self.version, [recipe(self), recipe(source)], [])

    def run(self, source: Source, store: Store, cache: Path | None = None) -> Artifact:
        """Filter a source, or find what was filtered before; several processes share the work."""
        key = self.key(source)
        found = find(store, self.kind, key)
        if found is not None:
            return found
        sifting = Sifting(self, source, cache)
        return make(store, self.kind, key, sifting.work, sifting.write)


class Sifting:
    """One source at work."""

    def __init__(self, settings: Consistency, source: Source, cache: Path | None) -> None:
        """Open the pairs and lay out the blocks and their shards."""
        self.settings, self.source = settings, source
        self.table = source.open(cache)
        if self.table.kind != "pairs":
            fix = "Map columns to query and positive"
            raise ConfigError(f"{source.name} holds {self.table.kind}, not pairs", fix=fix)
        size = len(self.table)
        count = -(-size // settings.sample)  # of one size: a small one would let everything pass
        ends = [size * number // count for number in range(count + 1)]
        self.blocks = [range(*pair) for pair in pairwise(ends)]
        self.per_block = -(-settings.sample // _SHARD)

    def work(self, shards: Shards) -> None:
        """Index and search block by block; what is done already is not even read."""
        for number, block in enumerate(self.blocks):
            count = -(-len(block) // _SHARD)
            numbers = range(number * self.per_block, number * self.per_block + count)
            if not shards.missing(numbers):
                continue
            documents = Documents(self._positives(block))
            self.settings.retriever.index(documents.corpus())
            what = f"sift {self.source.name}, block {number + 1} of {len(self.blocks)}"
            shards.work(numbers, lambda n, d=documents, b=block: self._shard(n, b, d), what)

    def write(self, folder: Path, shards: Shards) -> Facts:
        """The rows that are left and the counts, from all shards."""
        counts: Counter[str] = Counter()
        for value in shards.read(self._numbers()):
            counts.update(value["counts"])
        fix = "Set a larger k, or another retriever"
        kept = write_rows(folder, self._rows(shards), self.source.name, fix)
        statistics = {
            "rows": {"read": len(self.table), "written": kept, "dropped": len(self.table) - kept},
            "places": {str(place): counts[str(place)] for place in range(1, self.settings.k + 1)},
            "blocks": len(self.blocks),
        }
        write_json(folder / "statistics.json", statistics)
        return {
            "source": origin(self.source),
            "has_negatives": self._has_negatives(),
            "recipe": recipe(self.settings),
            "statistics": statistics,
            "versions": library_versions(),
        }

    def _shard(self, number: int, block: range, documents: Documents) -> Facts:
        start = number % self.per_block * _SHARD
        rows = block[start : start + _SHARD]
        batch = self.table.read(np.array(rows))
        ids = [str(row) for row in rows]
        ranking = self.settings.retriever.search(ids, batch.queries, self.settings.k)
        counts: Counter[str] = Counter()
        kept: list[int] = []
        for row, texts, found in zip(rows, batch.documents, ranking.rows.tolist(), strict=True):
            answer = documents.row(texts[0])
            if answer in found:
                kept.append(row)
                counts[str(found.index(answer) + 1)] += 1
        return {"rows": kept, "counts": counts}

    def _rows(self, shards: Shards) -> Iterator[dict[str, Any]]:
        kept = (row for value in shards.read(self._numbers()) for row in value["rows"])
        texts = self.table.texts()
        for number in kept:
            query, documents = next((q, d) for position, q, d in texts if position == number)
            row = {"query": query, "positive": documents[0]}
            yield row | ({"negatives": documents[1:]} if documents[1:] else {})

    def _numbers(self) -> list[int]:
        return [
            number * self.per_block + shard
            for number, block in enumerate(self.blocks)
            for shard in range(-(-len(block) // _SHARD))
        ]

    def _positives(self, block: range) -> Iterator[str]:
        for start in range(block.start, block.stop, _SHARD):
            rows = np.arange(start, min(block.stop, start + _SHARD))
            yield from (documents[0] for documents in self.table.read(rows).documents)

    def _has_negatives(self) -> bool:
        return len(self.table.read(np.array([0])).documents[0]) > 1
