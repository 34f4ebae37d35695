"""BM25: the baseline every neural retriever has to beat.

Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009; scores by
bm25s (https://arxiv.org/abs/2407.03618). A document that shares no term with a query is not found
by it.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from trivet.core.errors import ConfigError, TrivetError
from trivet.core.progress import Progress
from trivet.core.records import Corpus, Ranking
from trivet.core.schema import unkeyed
from trivet.retrieval.topk import id_order, topk
from trivet.retrieval.words import Pipeline, Words

log = logging.getLogger("trivet")


@dataclass
class Bm25:
    """Words, stemmed, less the stop words."""

    method: Literal["lucene", "robertson", "atire", "bm25+", "bm25l"] = "lucene"
    """The variant of the formula."""
    k1: float = 0.9
    """How slowly repeated terms saturate."""
    b: float = 0.4
    """How much long documents are held back."""
    delta: float = 0.5
    """The lower bound of bm25+ and bm25l."""
    pipeline: Pipeline = "bm25"
    """How texts are split: bm25 (two or more word characters), or bmx (as BMX's authors do)."""
    stemmer: str | None = "english"
    """A Snowball stemmer, or null for none."""
    stop_words: str | None = "en"
    """The language whose stop words are left out, or null for none."""
    chunk: int = unkeyed(1 << 26)
    """Scores held at once, queries times documents: the bound of memory."""
    _state: dict[str, Any] = field(default_factory=dict[str, Any], init=False, repr=False)

    def __post_init__(self) -> None:
        """Settings that make a formula, and words that can be made."""
        if self.k1 < 0 or not 0 <= self.b <= 1:
            raise ConfigError("needs k1 >= 0 and 0 <= b <= 1", where="k1, b")
        self._words = Words(self.pipeline, self.stemmer, self.stop_words)
        if self.chunk < 1:
            raise ConfigError("must be at least 1", where="chunk")

    def index(self, corpus: Corpus) -> None:
        """Count terms."""
        import bm25s

        if len(corpus) == 0:
            raise TrivetError("the corpus is empty")
        log.info("bm25: counting the terms of %d documents", len(corpus))
        scorer = bm25s.BM25(method=self.method, k1=self.k1, b=self.b, delta=self.delta)
        tokens = self._words.numbered(corpus.contents())
        has_terms = any(tokens.ids)  # bm25s cannot index a corpus without a single term
        if has_terms:
            scorer.index(tokens, show_progress=sys.stderr.isatty(), leave_progress=False)
        self._state = {
            "ids": corpus.ids,
            "order": id_order(corpus.ids),
            "scorer": scorer if has_terms else None,
        }

    def search(self, ids: list[str], texts: list[str], k: int) -> Ranking:
        """Score every document for every query, and keep those that share a term."""
        if not self._state:
            raise TrivetError("search before index")
        documents: list[str] = self._state["ids"]
        k = min(k, len(documents))
        rows = np.full((len(ids), k), -1, dtype=np.int64)
        scores = np.zeros((len(ids), k), dtype=np.float32)
        step = max(1, self.chunk // len(documents))
        with Progress("search", len(ids), "query") as progress:
            for start in range(0, len(ids), step):
                part = slice(start, start + step)
                found = torch.from_numpy(self._scores(texts[part], len(documents)))
                rows[part], scores[part] = topk(found, k, self._state["order"])
                progress.add(len(texts[part]))
        return Ranking(ids, documents, rows, np.where(rows >= 0, scores, np.float32(0)))

    def describe(self) -> dict[str, Any]:
        """The formula and the words."""
        import importlib.metadata

        names = ("method", "k1", "b", "delta", "pipeline", "stemmer", "stop_words")
        return {
            "kind": "bm25",
            "model": f"bm25s {importlib.metadata.version('bm25s')}",
            "model_key": None,
            **{name: getattr(self, name) for name in names},
            "in_domain": [],
            "trained_on": [],
            "precision": "fp32",
            "prompts": {},
            "lengths": {},
        }

    def _scores(self, texts: list[str], documents: int) -> NDArray[np.float32]:
        """(Q, N): minus infinity where a document shares no term with the query.

        Sharing is read off the postings, not off the score: a term that stands in most documents
        weighs 0 in robertson, and in bm25+ and bm25l an absent term weighs more than 0.
        """
        out = np.full((len(texts), documents), -np.inf, dtype=np.float32)
        scorer = self._state["scorer"]
        if scorer is None:
            return out
        starts, postings = scorer.scores["indptr"], scorer.scores["indices"]
        for i, words in enumerate(self._words(texts)):
            terms = scorer.get_tokens_ids(words)
            if terms:
                scores = scorer.get_scores_from_ids(terms)
                for term in set(terms):
                    sharing = postings[starts[term] : starts[term + 1]]
                    out[i, sharing] = scores[sharing]
        return out
