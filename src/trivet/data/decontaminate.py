"""What a bench tests must not be trained on: exact and n-gram overlap, dropped and counted.

A training row overlaps if its query equals a test query or shares a run of words with one, or if a
document of it does so with a document that is relevant in the test. The 13 words for documents
follow GPT-3 (https://arxiv.org/abs/2005.14165, appendix C); 8 for queries is ours, queries being
shorter. Texts are compared in lower case, words only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import xxhash
from numpy.typing import NDArray

from trivet.core.errors import ConfigError
from trivet.data.table import Table

_WORDS = re.compile(r"\w+")
_OWN = 0.5  # a source is a bench's own if more of its documents than this stand in the corpus


@dataclass(frozen=True)
class Protected:
    """The test side of one task, as sorted hashes."""

    task: str
    queries: NDArray[np.uint64]
    query_grams: NDArray[np.uint64]
    relevant: NDArray[np.uint64]
    relevant_grams: NDArray[np.uint64]
    corpus: NDArray[np.uint64]
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
        query_words = [_words(text) for text in queries]
        relevant_words = [_words(text) for text in relevant]
        return cls(
            task,
            _sorted(_whole(words) for words in query_words if words),
            _sorted(gram for words in query_words for gram in _grams(words, query_ngram)),
            _sorted(_whole(words) for words in relevant_words if words),
            _sorted(gram for words in relevant_words for gram in _grams(words, document_ngram)),
            _sorted(_whole(words) for text in corpus if (words := _words(text))),
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
    words = _words(query)
    hit = False
    if _has(test.queries, [_whole(words)]):
        found.query_exact += 1
        hit = True
    elif _has(test.query_grams, _grams(words, test.query_ngram)):
        found.query_ngram += 1
        hit = True
    for i, document in enumerate(documents):
        words = _words(document)
        whole = _whole(words)
        if i == 0 and _has(test.corpus, [whole]):
            found.in_corpus += 1
        if _has(test.relevant, [whole]):
            found.document_exact += 1
            hit = True
        elif _has(test.relevant_grams, _grams(words, test.document_ngram)):
            found.document_ngram += 1
            hit = True
    return hit


def _words(text: str) -> list[str]:
    return _WORDS.findall(text.lower())


def _whole(words: list[str]) -> int:
    return xxhash.xxh3_64_intdigest(" ".join(words).encode())


def _grams(words: list[str], size: int) -> list[int]:
    return [_whole(words[i : i + size]) for i in range(len(words) - size + 1)]


def _sorted(hashes: Iterable[int]) -> NDArray[np.uint64]:
    return np.unique(np.fromiter(hashes, dtype=np.uint64))


def _has(known: NDArray[np.uint64], hashes: list[int]) -> bool:
    if not hashes or not len(known):
        return False
    wanted = np.array(hashes, dtype=np.uint64)
    places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return bool((known[places] == wanted).any())
