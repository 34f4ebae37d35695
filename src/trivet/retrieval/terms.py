"""Exact search over learned terms: a text is a few of many terms, and what each weighs.

Documents are held as postings by term, and a document that shares no term with a query is not found
by it. What the terms are, and how they are weighed against each other, is a retriever's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trivet.core.errors import ConfigError, TrivetError
from trivet.core.prefetch import prefetch
from trivet.core.progress import Progress
from trivet.core.ragged import Ragged
from trivet.core.records import Corpus, Ranking
from trivet.core.schema import unkeyed
from trivet.models.tokens import Tokens
from trivet.retrieval.encode import split
from trivet.retrieval.encoder import Encoder
from trivet.retrieval.learned import SIDES, of_all
from trivet.retrieval.postings import Postings
from trivet.retrieval.topk import id_order, topk
from trivet.retrieval.vectors import Shard, Vectors

Model = TypeVar("Model")


@dataclass
class Terms(Encoder[Model], Generic[Model]):
    """What retrievers of learned terms share."""

    top_terms: dict[str, int | None] = field(default_factory=dict[str, int | None])
    """The heaviest terms that a `query` and a `document` keep; null keeps all."""
    chunk: int = unkeyed(1 << 26)
    """Scores held at once, queries times documents: the bound of memory."""

    def __post_init__(self) -> None:
        """Refuse sides that there are not, and counts that hold nothing."""
        super().__post_init__()
        for side, count in self.top_terms.items():
            if side not in SIDES:
                fix = "There is: query and document"
                raise ConfigError("no such side", where=f"top_terms.{side}", fix=fix)
            if count is not None and count < 1:
                raise ConfigError("must be at least 1", where=f"top_terms.{side}")
        if self.chunk < 1:
            raise ConfigError("must be at least 1", where="chunk")

    def index(self, corpus: Corpus) -> None:
        """Encode all documents, or find their terms in the cache."""
        if len(corpus) == 0:
            raise TrivetError("the corpus is empty")
        self._state["encoder"] = model = self._ready(self.machine.resolve())
        texts = corpus.contents()
        parts = split(texts)

        def make(numbers: list[int]) -> Iterator[Shard]:
            return self._encode(texts, "document", [parts[i] for i in numbers], "documents")

        shards = self.cache.collect(self._key(model, texts, **self._own()), len(parts), make)
        postings = self._postings(shards)
        self._state |= {
            "postings": self._weighed(postings, len(corpus)),
            "ids": corpus.ids,
            "order": id_order(corpus.ids),
            "terms": {"document": (len(postings.rows), len(corpus))},
            "truncated": {"document": (shards.truncated(), len(corpus))},
        }

    def search(self, ids: list[str], texts: list[str], k: int) -> Ranking:
        """Score every query with every document that shares a term with it."""
        if "postings" not in self._state:
            raise TrivetError("search before index")
        made = Vectors(list(self._encode(texts, "query", split(texts), "queries")))
        queries = self._postings(made)
        self._state["truncated"]["query"] = of_all(made.truncated(), len(texts))
        self._state["terms"]["query"] = of_all(len(queries.rows), len(texts))
        queries = self._asked(queries)
        documents: list[str] = self._state["ids"]
        k = min(k, len(documents))
        rows = np.full((len(ids), k), -1, dtype=np.int64)
        scores = np.zeros((len(ids), k), dtype=np.float32)
        step = max(1, self.chunk // len(documents))
        for start in range(0, len(ids), step):
            stop = min(start + step, len(ids))
            found = torch.from_numpy(self._scores(queries, start, stop))
            rows[start:stop], scores[start:stop] = topk(found, k, self._state["order"])
        return Ranking(ids, documents, rows, np.where(rows >= 0, scores, np.float32(0)))

    def documents(self) -> Postings:
        """What each term counts in each document searched."""
        return self._state["postings"]

    def asked(self, texts: Sequence[str]) -> Postings:
        """What each term counts in each query: `search` multiplies documents with it."""
        return self._asked(
            self._postings(Vectors(list(self._encode(texts, "query", split(texts), "queries"))))
        )

    def describe(self) -> dict[str, Any]:
        """The model, its prompts and lengths, what was cut, and how many terms there are."""
        facts = self._facts() | {
            "vocabulary": self._vocabulary,
            "top_terms": {side: self.top_terms.get(side) for side in SIDES},
        }
        for side, (terms, count) in self._state.get("terms", {}).items():
            facts[f"{side}_terms"] = round(terms / max(1, count), 2)
        return {"model_key": None, "in_domain": [], "trained_on": None} | facts

    def _ready(self, device: str) -> Model:
        """The model as it encodes: on its device, in its precision."""
        raise NotImplementedError

    def _terms(self, ids: Ragged, side: str, what: str) -> Iterator[tuple[Tensor, Ragged]]:
        """Some rows at a time, and of each text its terms and their weights, (terms, 2)."""
        raise NotImplementedError

    def _own(self) -> dict[str, Any]:
        """What else decides how documents are encoded."""
        return {"top_terms": self.top_terms.get("document")}

    def _weighed(self, documents: Postings, count: int) -> Postings:  # noqa: ARG002
        """What a term of a document counts."""
        return documents

    def _asked(self, queries: Postings) -> Postings:
        """What a term of a query counts."""
        return queries

    @property
    def _vocabulary(self) -> int:
        model: Any = self.load()
        return model.vocabulary

    @torch.inference_mode()
    def _encode(
        self, texts: Sequence[str], side: str, parts: list[list[int]], what: str
    ) -> Iterator[Shard]:
        """A shard for each list of rows: of each text its terms and their weights, (terms, 2)."""
        model: Any = self._state["encoder"]

        def tokenize(rows: list[int]) -> tuple[list[int], Tokens]:
            return rows, model.tokenizer([texts[row] for row in rows], side)

        with Progress(what, sum(map(len, parts)), "text") as progress:
            for numbers, tokens in prefetch(parts, tokenize, depth=1):
                found: list[Tensor] = [torch.empty(0, 2)] * len(numbers)
                for group, terms in self._terms(tokens.ids, side, what):
                    for row, own in zip(group.tolist(), terms, strict=True):
                        found[row] = own
                    progress.add(len(group))
                yield Shard(torch.tensor(numbers), Ragged.of(found), tokens.truncated)

    def _postings(self, shards: Vectors) -> Postings:
        """All texts' terms, by term."""
        rows: list[Tensor] = [torch.empty(0, dtype=torch.int64)]
        pairs: list[Tensor] = [torch.empty(0, 2)]
        for shard in shards:
            assert isinstance(shard.vectors, Ragged)
            rows.append(shard.rows.repeat_interleave(shard.vectors.lengths))
            pairs.append(shard.vectors.values)
        terms, weights = torch.cat(pairs).unbind(1)
        numbers = terms.long().numpy()
        return Postings.of(numbers, torch.cat(rows).numpy(), weights.numpy(), self._vocabulary)

    def _scores(self, queries: Postings, start: int, stop: int) -> NDArray[np.float32]:
        """(stop - start, N): minus infinity where a document shares no term with the query."""
        documents: Postings = self._state["postings"]
        out = np.zeros((stop - start, len(self._state["ids"])), dtype=np.float32)
        for term in np.flatnonzero(queries.frequencies).tolist():
            rows, weights = documents[term]
            for query, weight in zip(*queries[term], strict=True):
                if start <= query < stop:
                    out[query - start, rows] += weight * weights
        out[out <= 0] = -np.inf  # weights are above 0, and so is what they add up to
        return out
