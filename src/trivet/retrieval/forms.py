"""The form in which a ColBERT model's document vectors are stored: what an index of them takes.

First fewer dimensions, then fewer vectors, then fewer bits. Each vector is cut and normalised as it
would leave a model of so many dimensions, and tokens are pooled by what is left of them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from trivet.core.ragged import Ragged
from trivet.retrieval.codes import Code, code_bytes, from_codes, to_codes
from trivet.retrieval.pooling import Pooling
from trivet.retrieval.stores import shortened


@dataclass(frozen=True)
class Form:
    """Dimensions, bits, vectors a document."""

    dim: int
    store: Code
    pool: Pooling

    @property
    def bytes(self) -> int:
        """What one vector takes."""
        return code_bytes(self.dim, self.store)

    def cut(self, vectors: Tensor) -> Tensor:
        """The first dimensions of (T, D) vectors, of length one again."""
        return shortened(vectors, self.dim, normalize=True)

    def pack(self, documents: Ragged) -> Ragged:
        """Whole vectors as they are stored."""
        cut = Ragged(self.cut(documents.values.float()), documents.offsets)
        pooled = self.pool.bags(cut)
        return Ragged(to_codes(pooled.values, self.store), pooled.offsets)

    def unpack(self, documents: Ragged) -> Ragged:
        """What queries are compared with, in fp32."""
        values = from_codes(documents.values, self.store, self.dim)
        return Ragged(values, documents.offsets)

    def facts(self) -> dict[str, Any]:
        """What a row of the ledger and a cache's key say of it."""
        pool = asdict(self.pool) if self.pool.active else None
        return {"dim": self.dim, "store": self.store, "pool": pool}
