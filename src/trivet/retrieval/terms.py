"""Exact search over learned terms: a text is a few of many terms, and what each weighs.

Documents are held as postings by term, and a document that shares no term with a query is not found
by it. What the terms are, and how they are weighed against each other, is a retriever's own.
"""

from __future__ import annotations

import logging
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
from trivet.models.tokens import Tokens
from trivet.retrieval.encode import split
from trivet.retrieval.encoder import Encoder
from trivet.retrieval.learned import SIDES, of_all
from trivet.retrieval.postings import Postings
from trivet.retrieval.postings_search import best_of_postings
from trivet.retrieval.segments import Segment, collect
from trivet.retrieval.topk import Found, id_order, merge
from trivet.retrieval.vectors import Shard, Vectors

log = logging.getLogger("trivet")
Model = TypeVar("Model")


@dataclass
class Terms(Encoder[Model], Generic[Model]):
    """What retrievers of learned terms share."""

    top_terms: dict[str, int | None] = field(default_factory=dict[str, int | None])
    """The heaviest terms that a `query` and a `document` keep; null keeps all."""

    def __post_init__(self) -> None:
        """Refuse sides that there are not, and counts that hold nothing."""
        super().__post_init__()
        for side, count in self.top_terms.items():
            if side not in SIDES:
                fix = "There is: query and document"
                raise ConfigError("no such side", where=f"top_terms.{side}", fix=fix)
            if count is not None and count < 1:
                raise ConfigError("must be at least 1", where=f"top_terms.{side}")

    def index(self, corpus: Corpus) -> None:
        """Encode all documents, or find their terms in the cache."""
        if len(corpus) == 0:
            raise TrivetError("the corpus is empty")
        self._state["encoder"] = model = self._ready(self.machine.resolve())
        texts = corpus.contents()

        def key(part: Sequence[str]) -> dict[str, Any] | None:
            return self._key(model, list(part), documents=len(part), **self._own())

        def make(named: dict[str, Any] | None, start: int, stop: int) -> Vectors:
            own = texts[start:stop]
            parts = split(own)

            def shards(numbers: list[int]) -> Iterator[Shard]:
                return self._encode(own, "document", [parts[i] for i in numbers], "documents")

            return self.cache.collect(named, len(parts), shards)

        segments = collect(self.cache, key, texts, self._vocabulary, make)
        postings = [segment.postings for segment in segments]
        sizes = [segment.documents for segment in segments]
        bare = sum(len(part.bare(size)) for part, size in zip(postings, sizes, strict=True))
        if bare:
            log.warning("%s of %s documents hold no term, and no query finds them",
                        f"{bare:,}", f"{len(corpus):,}")  # fmt: skip
        self._state |= {
            "postings": self._weighed(postings, sizes),
            "sizes": sizes,
            "ids": corpus.ids,
            "order": id_order(corpus.ids),
            "terms": {"document": (sum(len(part.rows) for part in postings), len(corpus))},
            "truncated": {"document": (sum(part.truncated for part in segments), len(corpus))},
        }

    def search(self, ids: list[str], texts: list[str], k: int) -> Ranking:
        """Score every query with every document that shares a term with it."""
        if "postings" not in self._state:
            raise TrivetError("search before index")
        queries = self.asked(texts)
        documents: list[str] = self._state["ids"]
        k = min(k, len(documents))
        rows, scores = self._best(queries.by_row(slice(0, len(ids))), k)
        return Ranking(ids, documents, rows, np.where(rows >= 0, scores, np.float32(0)))

    def documents(self) -> Postings:
        """What each term counts in each document searched."""
        return Postings.joined(self._state["postings"], self._state["sizes"])

    def asked(self, texts: Sequence[str]) -> Postings:
        """What each term counts in each query: `search` multiplies documents with it."""
        made = Vectors(list(self._encode(texts, "query", split(texts), "queries")))
        found = Segment.of(made, len(texts), self._vocabulary)
        self._state["truncated"]["query"] = of_all(found.truncated, len(texts))
        self._state["terms"]["query"] = of_all(len(found.postings.rows), len(texts))
        return self._asked(found.postings)

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

    def _weighed(self, documents: list[Postings], sizes: list[int]) -> list[Postings]:  # noqa: ARG002
        """What a term of a document counts, segment by segment."""
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

    def _best(self, queries: list[tuple[NDArray[np.int64], NDArray[np.float32]]], k: int) -> Found:
        """The best k documents of some queries, of all segments."""
        order: NDArray[np.int64] = self._state["order"]
        best: Found | None = None
        start = 0
        for part, size in zip(self._state["postings"], self._state["sizes"], strict=True):
            own = order[start : start + size]
            rows, scores = best_of_postings(part, queries, size, k, own)
            found = np.where(rows >= 0, rows + start, -1), scores
            best = found if best is None else merge(best, found, k, order)
            start += size
        assert best is not None
        rows = np.full((len(queries), k), -1, dtype=np.int64)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        rows[:, : best[0].shape[1]], scores[:, : best[0].shape[1]] = best
        return rows, scores
