"""Learned sparse retrieval, exact: SPLADE's term weights, multiplied and added up in fp32.

Formal et al., https://arxiv.org/abs/2109.10086. Documents are held as postings by term. A document
that shares no term with a query is not found by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trivet.core.buckets import buckets
from trivet.core.errors import ConfigError, TrivetError
from trivet.core.memory import halving
from trivet.core.prefetch import prefetch
from trivet.core.progress import Progress
from trivet.core.ragged import Ragged
from trivet.core.records import Corpus, Ranking
from trivet.core.schema import unkeyed
from trivet.models.splade import SpladeModel, load_splade
from trivet.models.tokens import Tokens
from trivet.retrieval.encode import split
from trivet.retrieval.encoder import Encoder
from trivet.retrieval.learned import SIDES, of_all
from trivet.retrieval.postings import Postings
from trivet.retrieval.topk import id_order, topk
from trivet.retrieval.vectors import Shard, Vectors

_LOGITS = {"cpu": 1 << 20, "cuda": 1 << 28}  # a cache holds the one, a GPU's memory the other


@dataclass
class Splade(Encoder[SpladeModel]):
    """Any SPLADE model (a masked language model with its head), max pooling, searched exactly."""

    kind: ClassVar[str] = "splade"

    top_terms: dict[str, int | None] = field(default_factory=dict[str, int | None])
    """The heaviest terms that a `query` and a `document` keep; null keeps all."""
    logits: int | None = unkeyed(None)
    """Logits held at once, texts times tokens times terms; null is what is fast on the device."""
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
        for name in ("logits", "chunk"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError("must be at least 1", where=name)

    def _read(self, folder: Path) -> SpladeModel:
        return load_splade(folder)

    def index(self, corpus: Corpus) -> None:
        """Encode all documents, or find their terms in the cache."""
        if len(corpus) == 0:
            raise TrivetError("the corpus is empty")
        device = self.machine.resolve()
        model = self.load().at(self.precision, device)
        model.logits = self.logits or _LOGITS["cpu" if device == "cpu" else "cuda"]
        self._state["encoder"] = model
        texts = corpus.contents()
        parts = split(texts)

        def make(numbers: list[int]) -> Iterator[Shard]:
            return self._encode(texts, "document", [parts[i] for i in numbers], "documents")

        key = self._key(model, texts, top_terms=self.top_terms.get("document"))
        shards = self.cache.collect(key, len(parts), make)
        postings = _postings(shards, model.vocabulary)
        self._state |= {
            "postings": postings,
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
        queries = _postings(made, self.load().vocabulary)
        self._state["truncated"]["query"] = of_all(made.truncated(), len(texts))
        self._state["terms"]["query"] = of_all(len(queries.rows), len(texts))
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

    def describe(self) -> dict[str, Any]:
        """The model, its prompts and lengths, what was cut, and how many terms there are."""
        facts = self._facts() | {
            "vocabulary": self.load().vocabulary,
            "top_terms": {side: self.top_terms.get(side) for side in SIDES},
        }
        for side, (terms, count) in self._state.get("terms", {}).items():
            facts[f"{side}_terms"] = round(terms / max(1, count), 2)
        return {"model_key": None, "in_domain": [], "trained_on": None} | facts

    @torch.inference_mode()
    def _encode(
        self, texts: Sequence[str], side: str, parts: list[list[int]], what: str
    ) -> Iterator[Shard]:
        """A shard for each list of rows: of each text its terms and their weights, (terms, 2)."""
        model: SpladeModel = self._state["encoder"]

        def tokenize(rows: list[int]) -> tuple[list[int], Tokens]:
            return rows, model.tokenizer([texts[row] for row in rows], side)

        with Progress(what, sum(map(len, parts)), "text") as progress:
            for numbers, tokens in prefetch(parts, tokenize, depth=1):
                found: list[Tensor] = [torch.empty(0, 2)] * len(numbers)
                budget = min(model.tokens, self.machine.encode_tokens)
                for group in buckets(tokens.ids.lengths, budget):
                    work = partial(_terms, model, tokens.ids, group, self.top_terms.get(side))
                    out, model.logits = halving(work, model.logits, what)
                    for row, terms in zip(group.tolist(), out, strict=True):
                        found[row] = terms
                    progress.add(len(group))
                yield Shard(torch.tensor(numbers), Ragged.of(found), tokens.truncated)

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


def _terms(
    model: SpladeModel, ids: Ragged, group: Tensor, top: int | None, logits: int
) -> list[Tensor]:
    """Of each text of one batch its terms and their weights, (terms, 2), on the CPU."""
    model.logits = logits
    out: list[Tensor] = []
    for part in group.split(model.texts):
        weights = model(ids.select(part))  # (b, V) fp32
        if top is not None and top < weights.shape[1]:
            kept = weights.topk(top, dim=1)
            weights = torch.zeros_like(weights).scatter_(1, kept.indices, kept.values)
        rows, terms = weights.nonzero(as_tuple=True)
        pairs = torch.stack([terms.float(), weights[rows, terms]], 1).cpu()  # ids below 2^24: exact
        out += pairs.split(rows.bincount(minlength=len(part)).tolist())
    return out


def _postings(shards: Vectors, vocabulary: int) -> Postings:
    """All texts' terms, by term."""
    rows: list[Tensor] = [torch.empty(0, dtype=torch.int64)]
    pairs: list[Tensor] = [torch.empty(0, 2)]
    for shard in shards:
        assert isinstance(shard.vectors, Ragged)
        rows.append(shard.rows.repeat_interleave(shard.vectors.lengths))
        pairs.append(shard.vectors.values)
    terms, weights = torch.cat(pairs).unbind(1)
    return Postings.of(terms.long().numpy(), torch.cat(rows).numpy(), weights.numpy(), vocabulary)
