"""Dense retrieval, exact: every query with every document, their vectors held as configured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from trivet.core.errors import ConfigError, TrivetError
from trivet.core.hashing import texts_digest
from trivet.core.records import Corpus, Ranking
from trivet.core.schema import unkeyed
from trivet.models.backbone import keep_layers
from trivet.models.dense import Dense
from trivet.models.layout import load_dense
from trivet.retrieval.encode import Encoded, at_precision, encode, encode_shards, split
from trivet.retrieval.encoder import Encoder
from trivet.retrieval.learned import of_all
from trivet.retrieval.stores import (
    Binary,
    Float32,
    Int8,
    Kind,
    Rescore,
    Store,
    bytes_per_vector,
    shortened,
)
from trivet.retrieval.topk import id_order
from trivet.retrieval.vectors import Shard, Vectors


@dataclass
class DenseRetriever(Encoder[Dense]):
    """Any dense model that trivet or sentence-transformers wrote, searched exactly."""

    kind: ClassVar[str] = "dense"

    layers: int | None = None
    """Only so many of the encoder's layers, the first ones; null is all of them."""
    dim: int | None = None
    """Only so many dimensions of each vector, the first ones; null is all of them."""
    store: Kind = "float32"
    """How document vectors are held: float32, int8 or binary. Queries stay float32."""
    rescore: Rescore = "int8"
    """What scores the candidates that binary vectors find: their own signs, int8, or none."""
    oversample: int = 4
    """Candidates that binary vectors find for each document wanted."""
    scores: int = unkeyed(1 << 26)
    """Scores held at once, queries times documents: the bound of memory."""

    def __post_init__(self) -> None:
        """Refuse counts that hold nothing."""
        super().__post_init__()
        for name in ("scores", "oversample", "layers", "dim"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError("must be at least 1", where=name)

    def load(self) -> Dense:
        """The model in fp32, with the lengths and prompts asked for."""
        known = "model" in self._state
        model = super().load()
        if not known:
            self._state["asked"] = {}  # a model in training has none: its vectors change
        return model

    def _read(self, folder: Path) -> Dense:
        return load_dense(folder)

    def index(self, corpus: Corpus) -> None:
        """Encode all documents, or find their vectors in the cache."""
        if len(corpus) == 0:
            raise TrivetError("the corpus is empty")
        device = self.machine.resolve()
        model = at_precision(self.load(), self.precision, device)
        model.budget = self.machine.encode_tokens
        if self.layers is not None:
            keep_layers(model.encoder, self.layers)  # a copy; the model itself stays whole
        if self.dim is not None and self.dim > model.dim:
            raise ConfigError(f"the model has {model.dim} dimensions", where="retriever.dim")
        texts = corpus.contents()
        parts = split(texts)

        def make(numbers: list[int]) -> Iterator[Shard]:
            wanted = [parts[i] for i in numbers]
            return encode_shards(model, texts, "document", wanted, what="documents")

        vectors = self.cache.collect(self._key(model, texts, **self._cut()), len(parts), make)
        self._state |= {
            "encoder": model,
            "store": self._store(vectors),
            "vectors": vectors,
            "ids": corpus.ids,
            "order": id_order(corpus.ids),
            "truncated": {"document": (vectors.truncated(), len(corpus))},
        }

    def search(self, ids: list[str], texts: list[str], k: int) -> Ranking:
        """Score every query with every document."""
        if "store" not in self._state:
            raise TrivetError("search before index")
        out = self._encoded(texts)
        self._state["truncated"]["query"] = of_all(out.truncated, len(texts))
        store: Store = self._state["store"]
        queries = shortened(out.vectors, self.dim, self.load().normalize)
        rows, scores = store.search(queries, k, self._state["order"])
        return Ranking(ids, self._state["ids"], rows, scores)

    def pair_scores(self, texts: list[str], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Score each query with documents of its own, (Q, C) rows of the corpus; -1 gives nan.

        Vectors are read once, shard by shard, and in full: `store` is not asked.
        """
        if "vectors" not in self._state:
            raise TrivetError("scores before index")
        normalize = self.load().normalize
        queries = shortened(self._encoded(texts).vectors, self.dim, normalize)  # (Q, D)
        found = np.full(rows.shape, np.nan, dtype=np.float32)
        places = np.full(len(self._state["ids"]) + 1, -1)  # the last one is that of row -1
        step = max(1, self.scores // queries.shape[1])
        for numbers, block in self._state["vectors"].blocks(1):
            places[numbers.numpy()] = np.arange(len(numbers))
            here = np.argwhere(places[rows] >= 0)  # (P, 2)
            for start in range(0, len(here), step):
                asked, column = here[start : start + step].T
                local = torch.from_numpy(places[rows[asked, column]])
                documents = shortened(block[local], self.dim, normalize)  # (P, D)
                products = queries[torch.from_numpy(asked)] * documents
                found[asked, column] = products.sum(1).numpy()
            places[numbers.numpy()] = -1
        return found

    def resized(self, dim: int, store: Kind, rescore: Rescore) -> DenseRetriever:
        """The same model with vectors of another size; nothing that is encoded is made again."""
        made = replace(self, dim=dim, store=store, rescore=rescore)
        self._state.setdefault("asked", {})
        shared = ("model", "own", "identity", "asked")
        made._state |= {name: self._state[name] for name in shared if name in self._state}
        return made

    def _encoded(self, texts: list[str]) -> Encoded:
        """Query vectors, in full; the last ones are held, for other sizes and for pairs."""
        model: Dense = self._state["encoder"]
        held: dict[str, Encoded] = self._state.get("asked", {})
        name = texts_digest([model.tokenizer.prompts.get("query", ""), *texts])
        if name not in held:
            held.clear()
            held[name] = encode(model, texts, "query", what="queries")
        return held[name]

    def _store(self, vectors: Vectors) -> Store:
        shorten = partial(shortened, dim=self.dim, normalize=self.load().normalize)
        held = (vectors, shorten, self.scores, self.machine.resolve())
        if self.store == "binary":
            return Binary(*held, oversample=self.oversample, rescore=self.rescore)
        return (Int8 if self.store == "int8" else Float32)(*held)

    def _cut(self) -> dict[str, int]:
        """How many layers are left, if not all."""
        return {} if self.layers is None else {"layers": self.layers}

    def describe(self) -> dict[str, Any]:
        """The model, its prompts and lengths, and what was cut."""
        dim = self.dim or self.load().dim
        facts = self._facts() | self._cut()
        facts |= {"dim": dim, "store": self.store}
        facts["bytes_per_vector"] = bytes_per_vector(dim, self.store, self.rescore)
        if self.store == "binary":
            facts |= {"rescore": self.rescore, "oversample": self.oversample}
        return facts
