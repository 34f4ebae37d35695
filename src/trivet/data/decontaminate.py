"""What a bench tests must not be trained on: exact and n-gram overlap, dropped and counted.

A training row overlaps if its query equals a test query or shares a run of words with one, or if a
document of it does so with a document that is relevant in the test. The 13 words for documents
follow GPT-3 (https://arxiv.org/abs/2005.14165, appendix C); 8 for queries is ours, queries being
shorter. Texts are compared in lower case, words only.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trivet.core.errors import ConfigError
from trivet.data.table import Table

_BITS = 64  # of the map, for each hash: one in 64 gets past it by chance
_ONE, _THREE, _SEVEN = np.uint8(1), np.uint64(3), np.uint64(7)
_OWN = 0.5  # a source is a bench's own if more of its documents than this stand in the corpus


@dataclass(frozen=True)
class Known:
    """A set of hashes, behind a map of bits that most questions do not get past."""

    ordered: NDArray[np.uint64]
    bits: NDArray[np.uint8]
    shift: np.uint64

    @classmethod
    def of(cls, parts: Iterable[NDArray[np.uint64]]) -> Known:
        """The set of all that the parts hold."""
        ordered = np.unique(np.concatenate([np.empty(0, np.uint64), *parts]))
        size = min(33, max(10, (_BITS * len(ordered)).bit_length()))
        shift = np.uint64(64 - size)
        bits = np.zeros(1 << (size - 3), np.uint8)
        places = ordered >> shift
        np.bitwise_or.at(bits, places >> _THREE, _ONE << (places & _SEVEN).astype(np.uint8))
        return cls(ordered, bits, shift)

    def has(self, wanted: NDArray[np.uint64]) -> bool:
        """Whether one of these is in it."""
        return _compiled()[1](wanted, self.ordered, self.bits, self.shift)


@dataclass(frozen=True)
class Protected:
    """The test side of one task, as hashes."""

    task: str
    queries: Known
    query_grams: Known
    relevant: Known
    relevant_grams: Known
    corpus: Known
    query_ngram: int
    document_ngram: int

    @classmethod
    def of(
        cls,
        task: str,
        *,
        queries: Iterable[str],
        relevant: Iterable[str],
        corpus: Iterable[str],
        query_ngram: int,
        document_ngram: int,
    ) -> Protected:
        """Hash a task's test queries, their relevant documents, and its whole corpus."""
        hashed_queries = [hashes(text, query_ngram) for text in queries]
        hashed_relevant = [hashes(text, document_ngram) for text in relevant]
        return cls(
            task,
            Known.of(found[:1] for found in hashed_queries),
            Known.of(found[1:] for found in hashed_queries),
            Known.of(found[:1] for found in hashed_relevant),
            Known.of(found[1:] for found in hashed_relevant),
            Known.of(hashes(text, document_ngram)[:1] for text in corpus),
            query_ngram,
            document_ngram,
        )


@dataclass
class Overlap:
    """What was found in one source against one task."""

    source: str
    task: str
    rows: int = 0
    query_exact: int = 0
    query_ngram: int = 0
    document_exact: int = 0
    document_ngram: int = 0
    dropped: int = 0
    in_corpus: int = 0
    in_domain: bool = False

    def counts(self) -> dict[str, object]:
        """The numbers for a manifest."""
        return dict(vars(self))


def decontaminate(table: Table, protected: Protected) -> tuple[Table, Overlap]:
    """Drop the rows of a table that overlap a task; an in-domain source is counted and kept."""
    found = Overlap(table.name, protected.task, in_domain=table.in_domain)
    clean = np.ones(len(table), dtype=np.bool_)
    for position, query, documents in table.texts():
        found.rows += 1
        if _overlaps(query, documents, protected, found) and not table.in_domain:
            found.dropped += 1
            clean[position] = False
    if found.in_corpus > _OWN * found.rows and not table.in_domain:
        raise ConfigError(
            f"{found.in_corpus} of {found.rows} rows have their document in the corpus of "
            f"{protected.task}: this is the bench's own data",
            where=table.name,
            fix="Set in_domain: true on the source; every number on that bench is then marked",
        )
    if found.dropped == 0:
        return table, found
    return table.keep(np.flatnonzero(clean)), found


def _overlaps(query: str, documents: list[str], test: Protected, found: Overlap) -> bool:
    own = hashes(query, test.query_ngram)
    hit = False
    if test.queries.has(own[:1]):
        found.query_exact += 1
        hit = True
    elif test.query_grams.has(own[1:]):
        found.query_ngram += 1
        hit = True
    for i, document in enumerate(documents):
        own = hashes(document, test.document_ngram)
        if i == 0 and test.corpus.has(own[:1]):
            found.in_corpus += 1
        if test.relevant.has(own[:1]):
            found.document_exact += 1
            hit = True
        elif test.relevant_grams.has(own[1:]):
            found.document_ngram += 1
            hit = True
    return hit


def hashes(text: str, size: int) -> NDArray[np.uint64]:
    """The hash of all words of a text, then those of its runs of `size` words; of none, nothing."""
    points = np.frombuffer(text.lower().encode("utf-32-le", "surrogatepass"), np.uint32)
    return _compiled()[0](points, _letters(), size)


@cache
def _letters() -> NDArray[np.bool_]:
    """Which code points are parts of words."""
    known = np.zeros(sys.maxunicode + 1, np.bool_)
    for run in re.finditer(r"\w+", "".join(map(chr, range(len(known))))):
        known[run.start() : run.end()] = True
    return known


@cache
def _compiled() -> tuple[Any, Any]:
    """`hashes` and `Known.has` in machine code; numba is loaded when they are first wanted.

    A word's hash is FNV-1a of its code points, mixed; a run's is a polynomial of its words', mod
    2^64, so that it rolls from one run to the next.
    """
    import numba

    prime, basis, base = (
        np.uint64(x) for x in (0x100000001B3, 0xCBF29CE484222325, 0x9E3779B97F4A7C15)
    )
    first, second = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
    a, b, c = np.uint64(30), np.uint64(27), np.uint64(31)

    @numba.njit(nogil=True)
    def mixed(x: Any) -> Any:  # splitmix64's last steps
        x = (x ^ (x >> a)) * first
        x = (x ^ (x >> b)) * second
        return x ^ (x >> c)

    @numba.njit(nogil=True)
    def of(points: Any, letters: Any, size: int) -> Any:
        words = np.empty(len(points) // 2 + 1, np.uint64)
        count, own, inside = 0, basis, False
        for point in points:
            if letters[point]:
                own, inside = (own ^ np.uint64(point)) * prime, True
            elif inside:
                words[count] = mixed(own)
                count, own, inside = count + 1, basis, False
        if inside:
            words[count] = mixed(own)
            count += 1
        if count == 0:
            return words[:0]
        out = np.empty(1 + max(0, count - size + 1), np.uint64)
        whole, run, power = np.uint64(count), np.uint64(0), np.uint64(1)
        for _ in range(size):
            power *= base
        for i in range(count):
            whole = whole * base + words[i]
            run = run * base + words[i]
            if i >= size:
                run -= words[i - size] * power
            if i >= size - 1:
                out[i - size + 2] = mixed(run)
        out[0] = mixed(whole)
        return out

    @numba.njit(nogil=True)
    def has(wanted: Any, ordered: Any, bits: Any, shift: Any) -> bool:
        for one in wanted:
            place = one >> shift
            if (bits[place >> _THREE] >> np.uint8(place & _SEVEN)) & _ONE:
                at = np.searchsorted(ordered, one)
                if at < len(ordered) and ordered[at] == one:
                    return True
        return False

    return of, has
