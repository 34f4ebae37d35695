"""A teacher's vectors of training texts: made once, kept in fp16, read by row.

An entry holds one side of one source, whole: what is trained on may leave rows out, and what the
student keeps of a vector may be shorter, without anything being encoded again. Shards are runs of
rows with their checksum in their name; a run that was killed goes on at the shard where it stopped,
several ranks make their share each, and a second run waits for the first.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from trivet.core.errors import ConfigError, DataError
from trivet.core.hashing import json_digest
from trivet.core.lock import only_one
from trivet.core.machine import Machine
from trivet.core.mapped import mapped
from trivet.core.ranks import rank, wait
from trivet.core.records import Batch
from trivet.core.schema import content
from trivet.data.table import Table
from trivet.mining.teachers import Teacher
from trivet.mining.texts import Texts
from trivet.retrieval.cache import Cache
from trivet.retrieval.vectors import Shard, Vectors

log = logging.getLogger("trivet")
_SHARD = 4096  # texts
_DAY = 86400.0


class Rows:
    """The vectors of one side, any of them at once."""

    def __init__(self, vectors: Vectors, held: Cache, teacher: Teacher) -> None:
        """Map the shards; `held` keeps them from being removed."""
        self._held = held
        found = [_mapped(shard) for shard in vectors.shards]
        self._shards = [vectors for vectors, _ in found]
        self.truncated = sum(truncated for _, truncated in found)
        self._normalize = teacher.normalize
        whole = self._shards[0].shape[1]
        if teacher.dim is not None and teacher.dim > whole:
            raise ConfigError(f"the teacher has {whole} dimensions", where="teacher.dim")
        self.dim = teacher.dim or whole

    def __getitem__(self, rows: Sequence[int]) -> Tensor:
        """(n, D) in fp32, in the order named."""
        found = np.stack([self._shards[row // _SHARD][row % _SHARD, : self.dim] for row in rows])
        vectors = torch.from_numpy(found).float()
        return F.normalize(vectors, dim=-1) if self._normalize else vectors


@dataclass(frozen=True)
class Taught:
    """The vectors of a source's texts, of both sides where it has both."""

    queries: Rows | None
    documents: Rows | None
    width: int  # documents in a row

    @property
    def dim(self) -> int:
        """The size of a vector."""
        rows = self.queries or self.documents
        assert rows is not None
        return rows.dim

    def of(self, batch: Batch) -> Tensor:
        """The vectors of a batch: of its queries, then of all its documents; (n, D)."""
        found: list[Tensor] = []
        if self.queries is not None:
            found.append(self.queries[batch.rows])
        if self.documents is not None:
            places = [row * self.width + i for row in batch.rows for i in range(self.width)]
            found.append(self.documents[places])
        return torch.cat(found)

    def truncated(self) -> dict[str, int]:
        """How many texts of each side the teacher saw cut."""
        sides = {"query": self.queries, "document": self.documents}
        return {side: rows.truncated for side, rows in sides.items() if rows is not None}


def teach(teacher: Teacher, table: Table, folder: Path, machine: Machine) -> Taught:
    """A teacher's vectors of a whole source, found under `folder` or made and kept there."""
    if len(table) != table.size:
        raise ValueError("rows are named by their place in the whole source")
    first = table.read(np.zeros(1, dtype=np.int64))
    width = len(first.documents[0])
    return Taught(
        _side(teacher, Texts(table, "query", 1), folder, machine) if first.queries[0] else None,
        _side(teacher, Texts(table, "document", width), folder, machine) if width else None,
        width,
    )


def _side(teacher: Teacher, texts: Texts, folder: Path, machine: Machine) -> Rows:
    table = texts.table
    whole = dataclasses.replace(cast(Any, teacher), dim=None)
    key = {"teacher": content(whole), "side": texts.side, "texts": table.key}
    ends = range(0, len(texts), _SHARD)
    parts = [list(range(start, min(start + _SHARD, len(texts)))) for start in ends]

    def make(numbers: list[int]) -> Iterator[Shard]:
        if not numbers:
            return
        log.info("%s: the teacher encodes %d of %d shards", table.name, len(numbers), len(parts))
        for shard in teacher.encode(texts, texts.side, [parts[i] for i in numbers], machine):
            yield _halved(shard, teacher.normalize, table.name)

    cache = Cache(folder=str(folder), limit_gib=float("inf"))  # never removed: it was dear
    lock = folder / f"{json_digest(key)[:24]}.lock"
    alone = only_one(lock, wait=_DAY, what="these vectors") if rank() == 0 else nullcontext()
    with alone:
        wait()  # until the first rank has the lock
        return Rows(cache.collect(key, len(parts), make), cache, teacher)


def _halved(shard: Shard, normalize: bool, name: str) -> Shard:
    """Unit vectors where they are wanted, in 16 bits."""
    vectors = cast(Tensor, shard.vectors).float()
    vectors = (F.normalize(vectors, dim=-1) if normalize else vectors).half()
    if not bool(vectors.isfinite().all()):
        raise DataError("the teacher's vectors do not fit 16 bits", where=name)
    return Shard(shard.rows, vectors, shard.truncated)


def _mapped(shard: Shard | Path) -> tuple[NDArray[np.float16], int]:
    """A shard's vectors, (n, D), where they lie, and how many of its texts were cut."""
    if isinstance(shard, Shard):
        return cast(Tensor, shard.vectors).numpy(), shard.truncated
    arrays, facts = mapped(shard)
    return arrays["vectors"], json.loads(facts["trivet"])["truncated"]
