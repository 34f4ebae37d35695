"""How many documents hold each term: of latents, of the corpus' words, of SPLADE's terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trivet.bench.zipf import Zipf, zipf_of
from trivet.core.errors import DataError
from trivet.core.records import Corpus
from trivet.retrieval.postings import Postings
from trivet.retrieval.splade import Splade
from trivet.retrieval.words import Words


@dataclass(frozen=True)
class Curve:
    """A vocabulary in a corpus."""

    name: str
    frequencies: NDArray[np.int64]  # of the terms that stand in some document, falling
    fit: Zipf | None  # None where too few terms stand in ten documents

    @property
    def said(self) -> str:
        """The exponent, its interval and what it was fitted through."""
        if self.fit is None:
            return "too few terms to fit"
        fit = self.fit
        return (
            f"exponent {fit.exponent:.2f} [{fit.low:.2f}, {fit.high:.2f}], ranks {fit.first:,} to "
            f"{fit.last:,}, R² {fit.r2:.2f}"
        )


def of_postings(name: str, postings: Postings, documents: int, seed: int) -> Curve:
    """Terms that a retriever has indexed."""
    return _curve(name, postings.terms, postings.rows, documents, seed)


def of_words(texts: Sequence[str], seed: int) -> Curve:
    """Words as bm25 splits texts, neither stemmed nor stopped."""
    found = Words("bm25", None, None).numbered(list(texts))
    rows = np.repeat(np.arange(len(texts)), [len(ids) for ids in found.ids])
    ids = np.concatenate([np.asarray(part, np.int64) for part in found.ids])
    pairs = np.unique(np.stack([ids, rows]), axis=1)  # a word counts once a document
    return _curve("the corpus’ words", pairs[0], pairs[1], len(texts), seed)


def of_splade(retriever: Splade, corpus: Corpus, seed: int) -> Curve:
    """Terms that a SPLADE model gives the same documents."""
    retriever.index(corpus)
    return of_postings("SPLADE’s terms", retriever.documents(), len(corpus), seed)


def _curve(
    name: str, terms: NDArray[np.int64], rows: NDArray[np.int32], documents: int, seed: int
) -> Curve:
    frequencies = -np.sort(-np.bincount(terms))
    try:
        fit = zipf_of(terms, rows, documents, seed=seed)
    except DataError:
        fit = None
    return Curve(name, frequencies[frequencies > 0], fit)
