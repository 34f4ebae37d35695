"""Encoded texts, shard by shard: what is searched need not fit in memory."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from trivet.core.errors import TrivetError
from trivet.core.files import write_bytes
from trivet.core.ragged import Ragged


@dataclass(frozen=True)
class Shard:
    """Some texts' vectors: one each, or a bag of token vectors each."""

    rows: Tensor  # (n,) int64: which texts
    vectors: Tensor | Ragged  # (n, D), or n rows of (tokens, D)
    truncated: int  # how many of the texts were cut

    def save(self, folder: Path, number: int) -> Path:
        """Write it whole, under a name that holds its checksum."""
        from safetensors.torch import save

        if isinstance(self.vectors, Ragged):
            tensors = {"vectors": self.vectors.values, "offsets": self.vectors.offsets}
        else:
            tensors = {"vectors": self.vectors}
        tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
        facts = {"trivet": json.dumps({"truncated": self.truncated})}
        data = save(tensors | {"rows": self.rows}, metadata=facts)
        path = folder / f"{number:06d}.{hashlib.sha256(data).hexdigest()[:16]}.safetensors"
        aside = folder / f".{path.name}.{os.getpid()}.part"  # another run may write the same
        try:
            write_bytes(aside, data)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
        return path

    @classmethod
    def load(cls, path: Path) -> Shard:
        """Read it back."""
        from safetensors import safe_open

        try:
            with safe_open(path, "pt") as stream:
                truncated = json.loads(stream.metadata()["trivet"])["truncated"]
                found = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
        except OSError:
            fix = "Run again; what is missing is made anew"
            raise TrivetError("was removed from the cache", where=str(path), fix=fix) from None
        vectors = found["vectors"]
        if "offsets" in found:
            return cls(found["rows"], Ragged(vectors, found["offsets"]), truncated)
        return cls(found["rows"], vectors, truncated)


class Vectors:
    """All shards of some texts, in memory or in files that are read one after the other."""

    def __init__(self, shards: Sequence[Shard | Path]) -> None:
        """Shards or their files, in order."""
        self.shards = shards

    def __getitem__(self, number: int) -> Shard:
        """One shard, read if need be."""
        shard = self.shards[number]
        return shard if isinstance(shard, Shard) else Shard.load(shard)

    def __iter__(self) -> Iterator[Shard]:
        """Each shard; only that one need be in memory."""
        for number in range(len(self.shards)):
            yield self[number]

    def truncated(self) -> int:
        """How many texts were cut."""
        return sum(shard.truncated for shard in self)

    def blocks(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Rows and their vectors, (n,) and (n, D), shards joined up to about `size` texts."""
        held: list[Shard] = []
        count = 0
        for shard in self:
            held.append(shard)
            count += len(shard.rows)
            if count >= size:
                yield _joined(held)
                held, count = [], 0
        if held:
            yield _joined(held)


def _joined(shards: list[Shard]) -> tuple[Tensor, Tensor]:
    vectors = [shard.vectors for shard in shards if isinstance(shard.vectors, Tensor)]
    return torch.cat([shard.rows for shard in shards]), torch.cat(vectors)
