"""Dense retrieval, exact: every query with every document, their vectors held as configured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from trivet.core.errors import ConfigError, TrivetError
from trivet.core.hashing import texts_digest
from trivet.core.machine import Machine, Precision
from trivet.core.records import Corpus, Ranking
from trivet.core.schema import unkeyed
from trivet.models.backbone import keep_layers
from trivet.models.dense import Dense
from trivet.models.layout import load_dense
from trivet.retrieval.cache import Cache
from trivet.retrieval.encode import Encoded, at_precision, encode, encode_shards, split
from trivet.retrieval.learned import check_sides, identity, model_folder, of_all, truncated_shares
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
class DenseRetriever:
    """Any dense model that trivet or sentence-transformers wrote, searched exactly."""

    model: str
    """A trivet artifact, a folder in sentence-transformers layout, or a hub id."""
    revision: str = "main"
    """The hub revision."""
    precision: Precision = "fp32"
    """Of the encoder; scores are fp32 always."""
    lengths: dict[str, int] = field(default_factory=dict[str, int])
    """Content tokens of `query` and `document`; what is not given comes from the model."""
    prompts: dict[str, str] = field(default_factory=dict[str, str])
    """What stands before a `query` and a `document`; what is not given comes from the model."""
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
    cache: Cache = unkeyed(factory=Cache)
    """Where document vectors are kept."""
    machine: Machine = unkeyed(factory=Machine)
    """Where it runs."""
    _state: dict[str, Any] = field(default_factory=dict[str, Any], init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse sides that there are not."""
        check_sides(self.lengths, self.prompts)
        for name in ("scores", "oversample", "layers", "dim"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError("must be at least 1", where=name)

    def load(self) -> Dense:
        """The model in fp32, with the lengths and prompts asked for."""
        if "model" not in self._state:
            folder = model_folder(self.model, self.revision)
            model = load_dense(folder)
            model.tokenizer.lengths = model.tokenizer.lengths | self.lengths
            self._state["prompts"] = model.tokenizer.prompts
            model.tokenizer.prompts = model.tokenizer.prompts | self.prompts
            self.use(model)
            self._state["identity"] = identity(folder)
        return self._state["model"]

    def use(self, model: Dense) -> None:
        """Search with a model that is in memory already."""
        self._state["model"] = model

    def adapt(self, lengths: dict[str, int], prompts: dict[str, str]) -> None:
        """Use a task's prompts where the config gives none; lengths are for late interaction."""
        tokenizer = self.load().tokenizer
        own = self._state.get("prompts", tokenizer.prompts)
        tokenizer.prompts = own | prompts | self.prompts

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

        vectors = self.cache.collect(self._key(model, texts), len(parts), make)
        self._state |= {
            "encoder": model,
            "store": self._store(vectors),
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

    def resized(self, dim: int, store: Kind, rescore: Rescore) -> DenseRetriever:
        """The same model with vectors of another size; nothing that is encoded is made again."""
        made = replace(self, dim=dim, store=store, rescore=rescore)
        self._state.setdefault("asked", {})
        shared = ("model", "prompts", "identity", "asked")
        made._state |= {name: self._state[name] for name in shared if name in self._state}
        return made

    def _encoded(self, texts: list[str]) -> Encoded:
        """Query vectors, in full; the last ones are held for retrievers that differ in size."""
        model: Dense = self._state["encoder"]
        held: dict[str, Encoded] = self._state.get("asked", {})
        name = texts_digest([model.tokenizer.prompts.get("query", ""), *texts])
        if name not in held:
            held.clear()
            held[name] = encode(model, texts, "query", what="queries")
        return held[name]

    def _store(self, vectors: Vectors) -> Store:
        shorten = partial(shortened, dim=self.dim, normalize=self.load().normalize)
        if self.store == "binary":
            return Binary(
                vectors, shorten, self.scores, oversample=self.oversample, rescore=self.rescore
            )
        return (Int8 if self.store == "int8" else Float32)(vectors, shorten, self.scores)

    def _key(self, model: Dense, texts: list[str]) -> dict[str, Any] | None:
        """What made the vectors; a model in training has no name to keep them under."""
        if "identity" not in self._state:
            return None
        return {
            "kind": "dense",
            "model": self.model,
            "model_key": self._state["identity"]["model_key"],
            "side": "document",
            "length": model.tokenizer.lengths["document"],
            "prompt": model.tokenizer.prompts.get("document", ""),
            "precision": self.precision,
            "texts": texts_digest(texts),
            **self._cut(),
        }

    def _cut(self) -> dict[str, int]:
        """How many layers are left, if not all."""
        return {} if self.layers is None else {"layers": self.layers}

    def describe(self) -> dict[str, Any]:
        """The model, its prompts and lengths, and what was cut."""
        model, state = self.load(), self._state
        facts = {
            "kind": "dense",
            "model": self.model,
            **state.get("identity", {}),
            **self._cut(),
            "dim": self.dim or model.dim,
            "store": self.store,
            "bytes_per_vector": bytes_per_vector(self.dim or model.dim, self.store, self.rescore),
            "precision": self.precision,
            "prompts": model.tokenizer.prompts,
            "lengths": model.tokenizer.lengths,
        }
        if self.store == "binary":
            facts |= {"rescore": self.rescore, "oversample": self.oversample}
        facts |= truncated_shares(state.get("truncated", {}))
        return facts
