"""An inverted index: for each term, the documents that hold it and what it weighs there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Postings:
    """A sparse matrix of documents and terms, laid end to end by term."""

    starts: NDArray[np.int64]  # (V + 1,): term t is rows[starts[t]:starts[t + 1]]
    rows: NDArray[np.int32]  # (P,) documents, ascending in each term
    values: NDArray[np.float32]  # (P,)

    @classmethod
    def of(
        cls, terms: NDArray[Any], rows: NDArray[Any], values: NDArray[Any], vocabulary: int
    ) -> Postings:
        """From one entry for each term of each document, in any order."""
        by = np.lexsort((rows, terms))
        starts = np.zeros(vocabulary + 1, dtype=np.int64)
        np.cumsum(np.bincount(terms, minlength=vocabulary), out=starts[1:])
        return cls(starts, rows[by].astype(np.int32), values[by].astype(np.float32))

    def __getitem__(self, term: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The documents of a term and its values there, views."""
        part = slice(self.starts[term], self.starts[term + 1])
        return self.rows[part], self.values[part]

    @property
    def frequencies(self) -> NDArray[np.int64]:
        """In how many documents each term stands, (V,)."""
        return np.diff(self.starts)

    @property
    def terms(self) -> NDArray[np.int64]:
        """The term of each posting, (P,)."""
        return np.repeat(np.arange(len(self.starts) - 1), self.frequencies)

    def totals(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """The sum over each term's documents of a value for each posting, (V,)."""
        return np.bincount(self.terms, values, len(self.starts) - 1).astype(np.float64)
