"""Retrieve, then rerank: the best of a fast retriever are scored again by something slow and good.

Nogueira and Cho, "Passage Re-ranking with BERT" (https://arxiv.org/abs/1901.04085).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trivet.core.errors import ConfigError, TrivetError
from trivet.core.progress import Progress
from trivet.core.records import Corpus, Ranking
from trivet.core.schema import unkeyed
from trivet.retrieval.pedigree import merged
from trivet.retrieval.protocol import Adaptable, Retriever, Selfless
from trivet.retrieval.rerankers import Reranker
from trivet.retrieval.topk import id_order


@dataclass
class Rerank:
    """The documents of a first stage, the best `depth` of them in the reranker's order."""

    first: Retriever
    """What finds the documents."""
    reranker: Reranker
    """What scores them again."""
    depth: int = 100
    """Documents of each query that are scored again; those below keep their order beneath."""
    chunk: int = unkeyed(1 << 15)
    """Pairs handed to the reranker at once: the bound of memory."""
    _state: dict[str, Any] = field(default_factory=dict[str, Any], init=False, repr=False)

    def __post_init__(self) -> None:
        """Something to rerank."""
        for name in ("depth", "chunk"):
            if getattr(self, name) < 1:
                raise ConfigError("must be at least 1", where=name)

    def adapt(self, lengths: dict[str, int], prompts: dict[str, str]) -> None:
        """Hand a task's lengths and prompts to the stages that take some."""
        for stage in (self.first, self.reranker):
            if isinstance(stage, Adaptable):
                stage.adapt(lengths, prompts)

    def leave_out_self(self, yes: bool) -> None:
        """Tell the first stage."""
        if isinstance(self.first, Selfless):
            self.first.leave_out_self(yes)

    def index(self, corpus: Corpus) -> None:
        """Index the first stage, and keep the texts."""
        self.reranker.describe()  # one that cannot be loaded is refused before any work
        self.first.index(corpus)
        self._state = {"texts": dict(zip(corpus.ids, corpus.contents(), strict=True))}

    def search(self, ids: list[str], texts: list[str], k: int) -> Ranking:
        """Find, then score the best again."""
        if not self._state:
            raise TrivetError("search before index")
        found = self.first.search(ids, texts, max(k, self.depth))
        order = id_order(found.documents)
        rows, scores = found.rows.copy(), found.scores.copy()
        step = max(1, self.chunk // self.depth)
        with Progress("rerank", len(ids), "query") as progress:
            for start in range(0, len(ids), step):
                part = slice(start, start + step)
                self._rerank(texts[part], found.documents, rows[part], scores[part], order)
                progress.add(len(ids[part]))
        return Ranking(ids, found.documents, rows[:, :k], scores[:, :k])

    def describe(self) -> dict[str, Any]:
        """Both stages, and how deep the second looks."""
        parts = {"first": self.first.describe(), "reranker": self.reranker.describe()}
        return merged(parts) | {"kind": "rerank", "depth": self.depth}

    def _rerank(
        self,
        texts: list[str],
        documents: list[str],
        rows: NDArray[np.int64],  # (Q, k'), written to
        scores: NDArray[np.float32],
        order: NDArray[np.int64],
    ) -> None:
        heads = [some[: self.depth][some[: self.depth] >= 0] for some in rows]
        pairs = [
            (text, self._state["texts"][documents[row]])
            for text, head in zip(texts, heads, strict=True)
            for row in head.tolist()
        ]
        values = self.reranker.score(pairs) if pairs else np.empty(0, dtype=np.float32)
        cuts = np.cumsum([len(head) for head in heads])[:-1]
        for i, (head, own) in enumerate(zip(heads, np.split(values, cuts), strict=True)):
            best = np.lexsort((-order[head], -own))
            rows[i, : len(head)], scores[i, : len(head)] = head[best], own[best]
            tail = int((rows[i, self.depth :] >= 0).sum())
            if tail:
                scores[i, self.depth : self.depth + tail] = beneath(own.min(), tail)


def beneath(lowest: np.float32, count: int) -> NDArray[np.float32]:
    """Falling scores below one: no two are equal, so that they keep the order they stand for."""
    step = max(1.0, 4.0 * abs(float(np.spacing(lowest))))
    return (float(lowest) - step * np.arange(1, count + 1)).astype(np.float32)
