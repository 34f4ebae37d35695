"""An inverted index: for each term, the documents that hold it and what it weighs there."""

from __future__ import annotations

from collections.abc import Sequence
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
        """From one entry for each term of each document, in any order; one pass where ascending."""
        from scipy.sparse import csr_matrix

        if bool((rows[1:] < rows[:-1]).any()):
            by = np.argsort(rows, kind="stable")
            terms, rows, values = terms[by], rows[by], values[by]
        count = int(rows[-1]) + 1 if len(rows) else 0
        ends = np.concatenate([[0], np.bincount(rows, minlength=count).cumsum()])  # (N + 1,)
        held = (values.astype(np.float32, copy=False), terms.astype(np.int32, copy=False), ends)
        turned: Any = csr_matrix(held, shape=(count, vocabulary)).tocsc()
        starts = turned.indptr.astype(np.int64, copy=False)
        return cls(starts, turned.indices.astype(np.int32, copy=False), turned.data)

    @classmethod
    def joined(cls, parts: Sequence[Postings], sizes: Sequence[int]) -> Postings:
        """The postings of all documents from those of runs of them, of so many documents each."""
        if len(parts) == 1:
            return parts[0]
        starts: NDArray[np.int64] = np.sum([part.starts for part in parts], axis=0)
        rows, values = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.float32)
        free = starts[:-1].copy()  # where a term's next posting goes
        before = 0
        for part, size in zip(parts, sizes, strict=True):
            to = np.arange(len(part.rows)) + np.repeat(free - part.starts[:-1], part.frequencies)
            rows[to], values[to] = part.rows + before, part.values
            free += part.frequencies
            before += size
        return cls(starts, rows, values)

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

    def bare(self, count: int) -> NDArray[np.int64]:
        """Which of so many documents hold no term."""
        held = np.zeros(count, np.bool_)
        held[self.rows] = True
        return np.flatnonzero(~held)

    def by_row(self, rows: slice) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """For each row of a range its terms, ascending, and their values."""
        kept = (self.rows >= rows.start) & (self.rows < rows.stop)
        owners, terms, values = self.rows[kept] - rows.start, self.terms[kept], self.values[kept]
        by = np.argsort(owners, kind="stable")
        ends = np.bincount(owners, minlength=rows.stop - rows.start).cumsum()[:-1]
        parts = zip(np.split(terms[by], ends), np.split(values[by], ends), strict=True)
        return list(parts)[: rows.stop - rows.start]  # none of no rows
