"""The records that pass between floors: what is trained on, and what a retriever returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Batch:
    """Rows of one source. Every document list has the same number of documents, positives first."""

    source: str
    rows: list[int]  # row numbers in the source, for error messages and the false-negative mask
    queries: list[str]  # B; empty where the source holds plain texts that are documents
    documents: list[list[str]]  # B x N: N is 1 for pairs and plain texts (0 for queries), n for
    # n-way tuples
    scores: list[list[float]] | None  # B x N, a teacher's scores, or None
    prompts: dict[str, str]  # "query", "document": what stands before each text

    @property
    def ids(self) -> list[str]:
        """A name for each row that a person can look up; the first one is row 0."""
        return [f"{self.source} row {row}" for row in self.rows]


@dataclass(frozen=True)
class Corpus:
    """The documents of a task: titles may be empty."""

    ids: list[str]
    titles: list[str]
    texts: list[str]

    def __len__(self) -> int:
        """The number of documents."""
        return len(self.ids)

    def contents(self) -> list[str]:
        """Title and text as one text each, as BEIR joins them."""
        pairs = zip(self.titles, self.texts, strict=True)
        return [f"{title} {text}".strip() for title, text in pairs]


@dataclass(frozen=True)
class Ranking:
    """What a retriever returns: per query up to k documents, best first."""

    queries: list[str]  # Q query ids
    documents: list[str]  # N document ids of the corpus
    rows: NDArray[np.int64]  # (Q, k) rows of `documents`, -1: none
    scores: NDArray[np.float32]  # (Q, k)

    def of(self, query: int) -> list[tuple[str, float]]:
        """One query's documents and scores, best first."""
        found = self.rows[query] >= 0
        pairs: Any = zip(
            self.rows[query][found].tolist(), self.scores[query][found].tolist(), strict=True
        )
        return [(self.documents[row], score) for row, score in pairs]
