"""BMX: BM25 that knows how telling a term is, and how much of the query a document covers.

Li et al., "BMX: Entropy-weighted Similarity and Semantic-enhanced Lexical Search"
(https://arxiv.org/abs/2408.06643). For each query term t in a document D of N,

    idf(t) F (alpha + 1) / (F + alpha |D| / mean |D| + alpha mean E) + beta E(t) S(D)

is added up: F counts t in D, S is the share of the query's words in D, and E(t) is an entropy over
the documents that hold t, relative to the query's largest. A document that shares no term with a
query is not found by it. Words are made by the authors' steps (`Words`), not by their code.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trivet.core.errors import ConfigError, DataError, TrivetError
from trivet.core.hashing import json_digest
from trivet.core.progress import Progress
from trivet.core.records import Corpus, Ranking
from trivet.core.schema import unkeyed
from trivet.retrieval.augment import Endpoint, read_augmented
from trivet.retrieval.postings import Postings
from trivet.retrieval.topk import id_order, topk
from trivet.retrieval.words import Pipeline, Words

log = logging.getLogger("trivet")
Weighted = tuple[NDArray[np.int64], NDArray[np.float64]]  # (W,) terms and weights of a query


@dataclass
class Bmx:
    """Words, and other wordings of the query if there are any."""

    alpha: float | None = None
    """How slowly repeated terms saturate; null is mean |D| / 100, within 0.5 and 1.5."""
    beta: float | None = None
    """How much covering the query counts; null is 1 / ln(1 + N)."""
    pipeline: Pipeline = "bmx"
    """How texts are split: bmx (as its authors do), or bm25 (two or more word characters)."""
    stemmer: str | None = "english"
    """A Snowball stemmer, or null for none."""
    stop_words: str | None = "en_plus"
    """The list of stop words that are left out, or null for none; en_plus is NLTK's English."""
    augmented: str | None = None
    """A jsonl file of augmented queries: rows with query-id and augmented, a list of texts."""
    endpoint: str | None = None
    """Instead of a file: a server with OpenAI's chat protocol, such as http://127.0.0.1:8000/v1."""
    endpoint_model: str | None = None
    """The model that the server is asked for."""
    api_key_env: str | None = None
    """The environment variable that holds the server's key."""
    augmentations: int = 5
    """At most so many augmented queries for each query."""
    weight: float = 0.3
    """Of a word of an augmented query; one of the query itself weighs 1."""
    chunk: int = unkeyed(1 << 26)
    """Scores held at once, queries times documents: the bound of memory."""
    _state: dict[str, Any] = field(default_factory=dict[str, Any], init=False, repr=False)

    def __post_init__(self) -> None:
        """Settings that make a formula, and at most one origin of augmented queries."""
        for name in ("alpha", "beta"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ConfigError("must not be negative", where=name)
        for name in ("chunk", "augmentations"):
            if getattr(self, name) < 1:
                raise ConfigError("must be at least 1", where=name)
        if self.weight <= 0:
            raise ConfigError("must be above 0", where="weight")
        if self.augmented is not None and self.endpoint is not None:
            raise ConfigError("give one of augmented and endpoint", where="augmented")
        if (self.endpoint is None) != (self.endpoint_model is None):
            raise ConfigError("endpoint and endpoint_model go together", where="endpoint_model")
        if self.api_key_env is not None and self.endpoint is None:
            raise ConfigError("a key without an endpoint", where="api_key_env")
        self._words = Words(self.pipeline, self.stemmer, self.stop_words)

    def index(self, corpus: Corpus) -> None:
        """Count terms, and weigh each by its idf and its entropy."""
        if len(corpus) == 0:
            raise TrivetError("the corpus is empty")
        log.info("bmx: counting the terms of %d documents", len(corpus))
        tokens = self._words.numbered(corpus.contents())
        lengths = np.array([len(ids) for ids in tokens.ids], dtype=np.int64)
        flat = np.fromiter((i for ids in tokens.ids for i in ids), np.int64, int(lengths.sum()))
        rows = np.repeat(np.arange(len(corpus)), lengths)
        pairs, counts = np.unique(flat * len(corpus) + rows, return_counts=True)
        terms, rows = np.divmod(pairs, len(corpus))
        postings = Postings.of(terms, rows, counts, len(tokens.vocab))
        size, mean = len(corpus), float(lengths.mean())
        found = postings.frequencies
        p = 1 / (1 + np.exp(-postings.values.astype(np.float64)))
        self._state = {
            "ids": corpus.ids,
            "order": id_order(corpus.ids),
            "vocabulary": tokens.vocab,
            "postings": postings,
            "relative": lengths / max(mean, 1e-9),  # (N,) |D| / mean |D|
            "idf": np.log(1 + (size - found + 0.5) / (found + 0.5)),  # (V,)
            "entropy": postings.totals(-p * np.log(p)),  # (V,)
            "alpha": max(min(1.5, mean / 100), 0.5) if self.alpha is None else self.alpha,
            "beta": 1 / np.log(1 + size) if self.beta is None else self.beta,
        }

    def search(self, ids: list[str], texts: list[str], k: int) -> Ranking:
        """Score every document for every query, and keep those that share a term."""
        if not self._state:
            raise TrivetError("search before index")
        documents: list[str] = self._state["ids"]
        queries = self._weigh(texts, self._augment(ids, texts))
        k = min(k, len(documents))
        rows = np.full((len(ids), k), -1, dtype=np.int64)
        scores = np.zeros((len(ids), k), dtype=np.float32)
        step = max(1, self.chunk // len(documents))
        with Progress("search", len(ids), "query") as progress:
            for start in range(0, len(ids), step):
                part = slice(start, start + step)
                found = np.stack([self._scores(*query) for query in queries[part]])
                rows[part], scores[part] = topk(torch.from_numpy(found), k, self._state["order"])
                progress.add(len(found))
        return Ranking(ids, documents, rows, np.where(rows >= 0, scores, np.float32(0)))

    def describe(self) -> dict[str, Any]:
        """The formula, the words and the augmented queries."""
        names = ("alpha", "beta", "pipeline", "stemmer", "stop_words")
        facts = {name: getattr(self, name) for name in names}
        facts |= {name: float(self._state[name]) for name in ("alpha", "beta") if self._state}
        is_augmented = self.augmented is not None or self.endpoint is not None
        if is_augmented:
            names = ("augmented", "endpoint_model", "augmentations", "weight")
            facts |= {name: getattr(self, name) for name in names}
            facts["augmented_queries"] = self._state.get("augmented_queries")
        return {
            "kind": "bmx",
            "model": "bmx",
            "model_key": self._state.get("augmented_key"),
            **facts,
            "in_domain": [],
            "trained_on": None if is_augmented else [],
            "precision": "fp32",
            "prompts": {},
            "lengths": {},
        }

    def _augment(self, ids: list[str], texts: list[str]) -> list[list[str]]:
        """Other wordings of each query, in the order of the queries."""
        if self.augmented is None and self.endpoint is None:
            return [[] for _ in ids]
        if self.augmented is not None:
            path = Path(self.augmented).expanduser()
            known = read_augmented(path)
            if not known.keys() & set(ids):
                what = f"holds none of the queries' ids, such as {ids[0]}" if ids else "no queries"
                raise DataError(what, where=str(path))
            found = [known.get(name, [])[: self.augmentations] for name in ids]
        else:
            url, model = str(self.endpoint), str(self.endpoint_model)
            found = Endpoint(url, model, self.api_key_env, self.augmentations)(texts)
        count = sum(map(bool, found))
        log.info("bmx: %d of %d queries are augmented", count, len(ids))
        self._state |= {"augmented_queries": count, "augmented_key": json_digest(found)}
        return found

    def _weigh(self, texts: list[str], augmented: list[list[str]]) -> list[Weighted]:
        """Each query with its augmented ones as one list of known words with their weights."""
        vocabulary: dict[str, int] = self._state["vocabulary"]
        others = iter(self._words([text for texts in augmented for text in texts]))
        out: list[Weighted] = []
        for words, more in zip(self._words(texts), augmented, strict=True):
            added = [word for _ in more for word in next(others)]
            pairs = [(word, 1.0) for word in words] + [(word, self.weight) for word in added]
            known = [(vocabulary[word], weight) for word, weight in pairs if word in vocabulary]
            terms = np.array([term for term, _ in known], dtype=np.int64)
            out.append((terms, np.array([weight for _, weight in known])))
        return out

    def _scores(self, words: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[Any]:
        """(N,): minus infinity where a document shares no term with the query."""
        state, size = self._state, len(self._state["ids"])
        if len(words) == 0:
            return np.full(size, -np.inf, dtype=np.float32)
        terms, place, counts = np.unique(words, return_inverse=True, return_counts=True)
        weight = np.bincount(place, weights=weights)  # of a term that stands there repeatedly
        entropy = state["entropy"][terms]  # (T,)
        entropy = entropy / max(float(entropy.max()), 1e-300)
        mean = float(entropy @ counts) / len(words)
        postings: Postings = state["postings"]
        covered = np.zeros(size)  # (N,) S(D)
        for term, count in zip(terms, counts, strict=True):
            covered[postings[term][0]] += count / len(words)
        out, alpha = np.zeros(size), state["alpha"]
        for i, term in enumerate(terms):
            rows, times = postings[term]
            held_back = alpha * (state["relative"][rows] + mean)
            found = state["idf"][term] * times * (alpha + 1) / (times + held_back)
            out[rows] += weight[i] * (found + state["beta"] * entropy[i] * covered[rows])
        return np.where(covered > 0, out, -np.inf).astype(np.float32)
