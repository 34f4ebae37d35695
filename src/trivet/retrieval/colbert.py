"""Late interaction, exact: the MaxSim of every query with every document.

Khattab and Zaharia, "ColBERT: Efficient and Effective Passage Search via Contextualized Late
Interaction over BERT", https://arxiv.org/abs/2004.12832. Shards of token vectors are read one after
the other, so what is searched need not fit in memory. Vectors are kept whole, and a second time in
the form they are stored in if that is smaller: every form of a model is made from one encoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch

from trivet.core.errors import ConfigError, TrivetError
from trivet.core.hashing import texts_digest
from trivet.core.maxsim import maxsim
from trivet.core.memory import halving
from trivet.core.progress import Progress
from trivet.core.ragged import Ragged, concatenate
from trivet.core.records import Corpus, Ranking
from trivet.core.schema import unkeyed
from trivet.models.colbert import ColBERT
from trivet.models.colbert_layout import load_colbert
from trivet.retrieval.codes import Code
from trivet.retrieval.encode import at_precision, encode_shards, split
from trivet.retrieval.encoder import Encoder
from trivet.retrieval.forms import Form
from trivet.retrieval.learned import of_all
from trivet.retrieval.pooling import Pooling
from trivet.retrieval.topk import Found, id_order, merge, topk
from trivet.retrieval.vectors import Shard, Vectors

_SHARD = 1024  # documents


@dataclass
class ColbertRetriever(Encoder[ColBERT]):
    """Any ColBERT model that trivet or PyLate wrote, searched exactly."""

    kind: ClassVar[str] = "colbert"
    takes_lengths: ClassVar[bool] = True

    keep: Literal["float32", "float16"] = "float16"
    """How whole token vectors are kept, of which stored ones are made; float16 changes a score by
    less than a thousandth."""
    dim: int | None = None
    """Only so many dimensions of each vector, the first ones; null is all of them."""
    store: Code | None = None
    """How document vectors are stored and searched: float32, float16, int8 or binary; null is as
    kept. Queries stay float32."""
    pool: Pooling = field(default_factory=Pooling)
    """How many vectors of a document are stored."""
    budget: int = unkeyed(1 << 26)
    """Inner products held at once: the bound of memory."""

    def __post_init__(self) -> None:
        """Refuse counts that hold nothing, and more precision than there is."""
        super().__post_init__()
        for name in ("budget", "dim"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError("must be at least 1", where=name)
        if self.store == "float32" and self.keep == "float16":
            fix = "Set retriever.keep=float32, too"
            raise ConfigError("vectors are kept in float16", where="store", fix=fix)

    def _read(self, folder: Path) -> ColBERT:
        return load_colbert(folder)

    def index(self, corpus: Corpus) -> None:
        """Encode all documents, or find their vectors in the cache."""
        if len(corpus) == 0:
            raise TrivetError("the corpus is empty")
        model = at_precision(self.load(), self.precision, self.machine.resolve())
        model.budget = self.machine.encode_tokens
        form = self.form()
        texts = corpus.contents()
        parts = split(texts, _SHARD)
        dtype = torch.float16 if self.keep == "float16" else torch.float32

        def make(numbers: list[int]) -> Iterator[Shard]:
            wanted = [parts[i] for i in numbers]
            return encode_shards(model, texts, "document", wanted, what="documents", dtype=dtype)

        whole = self.cache.collect(self._key(model, texts, keep=self.keep), len(parts), make)
        vectors = whole
        if form != Form(model.dim, self.keep, Pooling()):
            key = self._key(model, texts, keep=self.keep, **form.facts())
            vectors = self.cache.collect(key, len(parts), partial(_packed, form, whole))
        self._state |= {
            "encoder": model,
            "form": form,
            "vectors": vectors,
            "ids": corpus.ids,
            "order": id_order(corpus.ids),
        }
        self._count(vectors)

    def form(self) -> Form:
        """How document vectors are stored."""
        full = self.load().dim
        if self.dim is not None and self.dim > full:
            raise ConfigError(f"the model has {full} dimensions", where="retriever.dim")
        pool = self.pool if self.pool.active else Pooling()
        return Form(self.dim or full, self.store or self.keep, pool)

    def resized(self, form: Form) -> ColbertRetriever:
        """The same model with vectors stored otherwise; nothing that is encoded is made again."""
        made = replace(self, dim=form.dim, store=form.store, pool=form.pool)
        self._state.setdefault("asked", {})
        shared = ("model", "own", "identity", "asked")
        made._state |= {name: self._state[name] for name in shared if name in self._state}
        return made

    def encode_queries(self, texts: list[str]) -> Ragged:
        """The token vectors of queries, in fp32; with as many dimensions as documents have."""
        whole, cut = self._encoded(texts)
        self._state["truncated"]["query"] = of_all(cut, len(texts))
        form: Form = self._state["form"]
        return Ragged(form.cut(whole.values), whole.offsets)

    def bags(self, rows: list[int]) -> Ragged:
        """The token vectors of some documents as they are searched, in fp32, in the order named."""
        found: dict[int, torch.Tensor] = {}
        for numbers, documents in self.documents():
            for row, bag in zip(numbers.tolist(), documents, strict=True):
                if row in rows:
                    found[row] = bag
        return Ragged.of([found[row] for row in rows])

    def search(self, ids: list[str], texts: list[str], k: int) -> Ranking:
        """Score every query with every document, a shard at a time."""
        if "vectors" not in self._state:
            raise TrivetError("search before index")
        rows, scores = self.exact(self.encode_queries(texts), k)
        return Ranking(ids, self._state["ids"], rows, scores)

    def exact(self, queries: Ragged, k: int) -> Found:
        """The best k documents of each query by MaxSim with all of them."""
        order, device = self._state["order"], self.machine.resolve()
        queries = queries.to(device)
        best: Found | None = None
        with Progress("search", len(order), "document") as progress:
            for numbers, documents in self.documents():
                work = partial(_scores, queries, documents.to(device))
                scores, self.budget = halving(work, self.budget, "search")
                rows = numbers.numpy()
                places, values = topk(scores, k, order[rows])
                found = (rows[places], values)
                best = found if best is None else merge(best, found, k, order)
                progress.add(len(rows))
        if best is None:
            raise TrivetError("the corpus is empty")
        return best

    def documents(self) -> Iterator[tuple[torch.Tensor, Ragged]]:
        """Documents as they are searched, some at a time: their rows (n,) and fp32 vectors."""
        form: Form = self._state["form"]
        for shard in self._state["vectors"]:
            assert isinstance(shard.vectors, Ragged)
            yield shard.rows, form.unpack(shard.vectors)

    def describe(self) -> dict[str, Any]:
        """The model, its prompts and lengths, what was cut, and what is stored."""
        form = self.form()
        own = {"expansion": self.load().expansion, "keep": self.keep, **form.facts()}
        own["bytes_per_vector"] = form.bytes
        return self._facts() | own | self._state.get("held", {})

    def _encoded(self, texts: list[str]) -> tuple[Ragged, int]:
        """Whole vectors of queries, held for other forms, and how many queries were cut."""
        encoder: ColBERT = self._state["encoder"]
        tokens = encoder.tokenizer
        held: dict[str, tuple[Ragged, int]] = self._state.get("asked", {})
        asked = [tokens.prompts.get("query", ""), str(tokens.lengths["query"])]
        name = texts_digest([*asked, *texts])
        if name not in held:
            shards = list(encode_shards(encoder, texts, "query", split(texts), what="queries"))
            bags = [shard.vectors for shard in shards if isinstance(shard.vectors, Ragged)]
            found = Ragged(torch.empty(0, encoder.dim), torch.zeros(1, dtype=torch.int64))
            if bags:
                order = torch.argsort(torch.cat([shard.rows for shard in shards]))
                found = concatenate(bags).select(order)
            held.clear()
            held[name] = found, sum(shard.truncated for shard in shards)
        return held[name]

    def _count(self, vectors: Vectors) -> None:
        """What is stored, and how many documents were cut."""
        cut = count = 0
        for shard in vectors:
            assert isinstance(shard.vectors, Ragged)
            cut += shard.truncated
            count += len(shard.vectors.values)
        self._state["truncated"] = {"document": (cut, len(self._state["ids"]))}
        self._state["held"] = {"vectors": count}


def _packed(form: Form, whole: Vectors, numbers: list[int]) -> Iterator[Shard]:
    """Shards of whole vectors in the form they are stored in."""
    with Progress("pack", len(numbers), "shard") as progress:
        for number in numbers:
            shard = whole[number]
            assert isinstance(shard.vectors, Ragged)
            yield Shard(shard.rows, form.pack(shard.vectors), shard.truncated)
            progress.add(1)


def _scores(queries: Ragged, documents: Ragged, budget: int) -> torch.Tensor:
    return maxsim(queries, documents, budget=budget)
