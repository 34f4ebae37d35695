"""Learned sparse retrieval, exact: SPLADE's term weights, multiplied and added up in fp32.

Formal et al., https://arxiv.org/abs/2109.10086. Documents are held as postings by term. A document
that shares no term with a query is not found by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trivet.core.buckets import buckets
from trivet.core.errors import ConfigError, TrivetError
from trivet.core.machine import Machine, Precision
from trivet.core.memory import halving
from trivet.core.prefetch import prefetch
from trivet.core.progress import Progress
from trivet.core.ragged import Ragged
from trivet.core.records import Corpus, Ranking
from trivet.core.schema import unkeyed
from trivet.models.splade import SpladeModel, load_splade
from trivet.models.tokens import Tokens
from trivet.retrieval.encode import split
from trivet.retrieval.learned import identity, model_folder
from trivet.retrieval.postings import Postings
from trivet.retrieval.topk import id_order, topk

_LOGITS = {"cpu": 1 << 20, "cuda": 1 << 28}  # a cache holds the one, a GPU's memory the other


@dataclass
class Splade:
    """Any SPLADE model with max pooling, searched exactly."""

    model: str
    """A folder or a hub id: a masked language model with its head."""
    revision: str = "main"
    """The hub revision."""
    precision: Precision = "fp32"
    """Of the encoder; scores are fp32 always."""
    lengths: dict[str, int] = field(default_factory=dict[str, int])
    """Content tokens of `query` and `document`; what is not given comes from the model."""
    prompts: dict[str, str] = field(default_factory=dict[str, str])
    """What stands before a `query` and a `document`; what is not given comes from the model."""
    top_terms: dict[str, int | None] = field(default_factory=dict[str, int | None])
    """The heaviest terms that a `query` and a `document` keep; null keeps all."""
    logits: int | None = unkeyed(None)
    """Logits held at once, texts times tokens times terms; null is what is fast on the device."""
    chunk: int = unkeyed(1 << 26)
    """Scores held at once, queries times documents: the bound of memory."""
    machine: Machine = unkeyed(factory=Machine)
    """Where it runs."""
    _state: dict[str, Any] = field(default_factory=dict[str, Any], init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse sides that there are not."""
        for name in ("lengths", "prompts", "top_terms"):
            for side in getattr(self, name):
                if side not in ("query", "document"):
                    fix = "There is: query and document"
                    raise ConfigError("no such side", where=f"{name}.{side}", fix=fix)
        for name in ("lengths", "top_terms"):
            if any(count is not None and count < 1 for count in getattr(self, name).values()):
                raise ConfigError("must be at least 1", where=name)
        for name in ("logits", "chunk"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError("must be at least 1", where=name)

    def load(self) -> SpladeModel:
        """The model in fp32, with the lengths and prompts asked for."""
        if "model" not in self._state:
            folder = model_folder(self.model, self.revision)
            model = load_splade(folder)
            model.tokenizer.lengths = model.tokenizer.lengths | self.lengths
            self._state["prompts"] = model.tokenizer.prompts
            model.tokenizer.prompts = model.tokenizer.prompts | self.prompts
            self.use(model)
            self._state["identity"] = identity(folder)
        return self._state["model"]

    def use(self, model: SpladeModel) -> None:
        """Search with a model that is in memory already."""
        self._state["model"] = model

    def adapt(self, lengths: dict[str, int], prompts: dict[str, str]) -> None:
        """Use a task's prompts where the config gives none; lengths are for late interaction."""
        tokenizer = self.load().tokenizer
        own = self._state.get("prompts", tokenizer.prompts)
        tokenizer.prompts = own | prompts | self.prompts

    def index(self, corpus: Corpus) -> None:
        """Encode all documents."""
        if len(corpus) == 0:
            raise TrivetError("the corpus is empty")
        device = self.machine.resolve()
        model = self.load().at(self.precision, device)
        model.logits = self.logits or _LOGITS[device]
        self._state["encoder"] = model
        postings, truncated = self._encode(corpus.contents(), "document", "documents")
        self._state |= {
            "postings": postings,
            "ids": corpus.ids,
            "order": id_order(corpus.ids),
            "documents": len(corpus),
            "truncated_documents": truncated,
        }

    def search(self, ids: list[str], texts: list[str], k: int) -> Ranking:
        """Score every query with every document that shares a term with it."""
        if "postings" not in self._state:
            raise TrivetError("search before index")
        queries, truncated = self._encode(texts, "query", "queries")
        self._state |= {"queries": len(texts), "truncated_queries": truncated}
        self._state["query_terms"] = len(queries.rows)
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
        model, state = self.load(), self._state
        facts: dict[str, Any] = {
            "kind": "splade",
            "model": self.model,
            "model_key": None,
            "in_domain": [],
            "trained_on": None,
            **state.get("identity", {}),
            "vocabulary": model.vocabulary,
            "top_terms": {side: self.top_terms.get(side) for side in ("query", "document")},
            "precision": self.precision,
            "prompts": model.tokenizer.prompts,
            "lengths": model.tokenizer.lengths,
        }
        for side, plural in (("query", "queries"), ("document", "documents")):
            if f"truncated_{plural}" in state:
                count = max(1, state[plural])
                facts[f"truncated_{side}_share"] = round(state[f"truncated_{plural}"] / count, 6)
                terms = state["query_terms"] if side == "query" else len(state["postings"].rows)
                facts[f"{side}_terms"] = round(terms / count, 2)
        return facts

    @torch.inference_mode()
    def _encode(self, texts: Sequence[str], side: str, what: str) -> tuple[Postings, int]:
        """The terms of all texts, and how many texts were cut."""
        model: SpladeModel = self._state["encoder"]
        parts: list[tuple[Tensor, Tensor, Tensor]] = []  # rows, terms, weights
        truncated = 0

        def tokenize(rows: list[int]) -> tuple[list[int], Tokens]:
            return rows, model.tokenizer([texts[row] for row in rows], side)

        with Progress(what, len(texts), "text") as progress:
            for numbers, tokens in prefetch(split(texts), tokenize, depth=1):
                truncated += tokens.truncated
                places = torch.tensor(numbers)
                budget = min(model.tokens, self.machine.encode_tokens)
                for group in buckets(tokens.ids.lengths, budget):
                    work = partial(_terms, model, tokens.ids, group, self.top_terms.get(side))
                    found, model.logits = halving(work, model.logits, what)
                    parts += [(places[rows], terms, weights) for rows, terms, weights in found]
                    progress.add(len(group))
        if not parts:
            return Postings.of(np.empty(0, int), np.empty(0, int), np.empty(0), 0), 0
        rows, terms, weights = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
        return Postings.of(terms, rows, weights, model.vocabulary), truncated

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
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Rows, terms and weights of some texts of one batch, on the CPU."""
    model.logits = logits
    out: list[tuple[Tensor, Tensor, Tensor]] = []
    for part in group.split(model.texts):
        weights = model(ids.select(part))  # (b, V) fp32
        if top is not None and top < weights.shape[1]:
            kept = weights.topk(top, dim=1)
            weights = torch.zeros_like(weights).scatter_(1, kept.indices, kept.values)
        rows, terms = weights.nonzero(as_tuple=True)
        out.append((part[rows.cpu()], terms.cpu(), weights[rows, terms].cpu()))
    return out
