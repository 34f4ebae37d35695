"""Late interaction, exact: the MaxSim of every query with every document.

Khattab and Zaharia, "ColBERT: Efficient and Effective Passage Search via Contextualized Late
Interaction over BERT", https://arxiv.org/abs/2004.12832. Shards of token vectors are read one after
the other, so what is searched need not fit in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch

from trivet.core.errors import ConfigError, TrivetError
from trivet.core.maxsim import maxsim
from trivet.core.memory import halving
from trivet.core.progress import Progress
from trivet.core.ragged import Ragged, concatenate
from trivet.core.records import Corpus, Ranking
from trivet.core.schema import unkeyed
from trivet.models.colbert import ColBERT
from trivet.models.colbert_layout import load_colbert
from trivet.retrieval.encode import at_precision, encode_shards, split
from trivet.retrieval.encoder import Encoder
from trivet.retrieval.learned import of_all
from trivet.retrieval.topk import Found, id_order, merge, topk
from trivet.retrieval.vectors import Shard, Vectors

_SHARD = 1024  # documents


@dataclass
class ColbertRetriever(Encoder[ColBERT]):
    """Any ColBERT model that trivet or PyLate wrote, searched exactly."""

    kind: ClassVar[str] = "colbert"
    takes_lengths: ClassVar[bool] = True

    keep: Literal["float32", "float16"] = "float16"
    """How token vectors are kept; float16 changes a score by less than a thousandth."""
    budget: int = unkeyed(1 << 26)
    """Inner products held at once: the bound of memory."""

    def __post_init__(self) -> None:
        """Refuse a bound that holds nothing."""
        super().__post_init__()
        if self.budget < 1:
            raise ConfigError("must be at least 1", where="budget")

    def _read(self, folder: Path) -> ColBERT:
        return load_colbert(folder)

    def index(self, corpus: Corpus) -> None:
        """Encode all documents, or find their vectors in the cache."""
        if len(corpus) == 0:
            raise TrivetError("the corpus is empty")
        model = at_precision(self.load(), self.precision, self.machine.resolve())
        model.budget = self.machine.encode_tokens
        texts = corpus.contents()
        parts = split(texts, _SHARD)
        dtype = torch.float16 if self.keep == "float16" else torch.float32

        def make(numbers: list[int]) -> Iterator[Shard]:
            wanted = [parts[i] for i in numbers]
            return encode_shards(model, texts, "document", wanted, what="documents", dtype=dtype)

        vectors = self.cache.collect(self._key(model, texts, keep=self.keep), len(parts), make)
        self._state |= {
            "encoder": model,
            "vectors": vectors,
            "ids": corpus.ids,
            "order": id_order(corpus.ids),
            "truncated": {"document": (vectors.truncated(), len(corpus))},
        }

    def encode_queries(self, texts: list[str]) -> Ragged:
        """The token vectors of queries, in fp32."""
        encoder: ColBERT = self._state["encoder"]
        shards = list(encode_shards(encoder, texts, "query", split(texts), what="queries"))
        cut = sum(shard.truncated for shard in shards)
        self._state["truncated"]["query"] = of_all(cut, len(texts))
        bags = [shard.vectors for shard in shards if isinstance(shard.vectors, Ragged)]
        if not bags:
            return Ragged(torch.empty(0, encoder.dim), torch.zeros(1, dtype=torch.int64))
        return concatenate(bags).select(torch.argsort(torch.cat([s.rows for s in shards])))

    def bags(self, rows: list[int]) -> Ragged:
        """The token vectors of some documents as they are searched, in fp32, in the order named."""
        found: dict[int, torch.Tensor] = {}
        for shard in self._state["vectors"]:
            for row, bag in zip(shard.rows.tolist(), shard.vectors, strict=True):
                if row in rows:
                    found[row] = bag.float()
        return Ragged.of([found[row] for row in rows])

    def search(self, ids: list[str], texts: list[str], k: int) -> Ranking:
        """Score every query with every document, a shard at a time."""
        if "vectors" not in self._state:
            raise TrivetError("search before index")
        rows, scores = self.exact(self.encode_queries(texts), k)
        return Ranking(ids, self._state["ids"], rows, scores)

    def exact(self, queries: Ragged, k: int) -> Found:
        """The best k documents of each query by MaxSim with all of them."""
        order = self._state["order"]
        vectors: Vectors = self._state["vectors"]
        best: Found | None = None
        with Progress("search", len(order), "document") as progress:
            for shard in vectors:
                assert isinstance(shard.vectors, Ragged)
                documents = Ragged(shard.vectors.values.float(), shard.vectors.offsets)
                work = partial(_scores, queries, documents)
                scores, self.budget = halving(work, self.budget, "search")
                rows = shard.rows.numpy()
                places, values = topk(scores, k, order[rows])
                found = (rows[places], values)
                best = found if best is None else merge(best, found, k, order)
                progress.add(len(rows))
        if best is None:
            raise TrivetError("the corpus is empty")
        return best

    def describe(self) -> dict[str, Any]:
        """The model, its prompts and lengths, and what was cut."""
        model = self.load()
        own = {"dim": model.dim, "expansion": model.expansion, "keep": self.keep}
        return self._facts() | own


def _scores(queries: Ragged, documents: Ragged, budget: int) -> torch.Tensor:
    return maxsim(queries, documents, budget=budget)
