"""Why a document has the score it has: the latents that it shares with the query.

A score of latent terms is a sum over latents, each what it counts in the query times what it counts
in the document. The parts are told as the retriever made and added them, in fp32 and in its order,
so that they add up to its score to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trivet.core.errors import DataError, nearest
from trivet.core.records import Corpus
from trivet.models.latent import Latent as Model
from trivet.report.latent_reading import Place, in_sentence, readings
from trivet.retrieval.latent import Latent


@dataclass(frozen=True)
class Part:
    """A latent that query and document share."""

    latent: int
    value: float  # of the score
    share: float
    asked: float  # what it counts in the query
    held: float  # and in the document: value is their product
    frequency: int  # documents that hold it
    query: list[Place]  # the tokens that it stands in, the strongest first
    document: list[Place]


@dataclass(frozen=True)
class Pair:
    """A query and a document, and what of the score is whose."""

    query: str
    document: str  # its id
    text: str
    rank: int | None  # among all documents, from 1; None where they share no latent
    searched: int
    score: float
    parts: list[Part]  # the largest first


def pair(retriever: Latent, corpus: Corpus, query: str, document: str, *, tokens: int = 3) -> Pair:
    """Take a score apart; the retriever has indexed the corpus."""
    if not query.strip():
        raise DataError("the query is empty")
    if document not in corpus.ids:
        raise DataError(f"no document {document}", fix=nearest(document, corpus.ids))
    row = corpus.ids.index(document)
    ranking = retriever.search(["query"], [query], len(corpus)).of(0)
    place = next((i for i, (name, _) in enumerate(ranking) if name == document), None)
    score = ranking[place][1] if place is not None else 0.0
    values = parts_of(retriever, query, row)
    text = corpus.contents()[row]
    model = retriever.load()
    in_query = _places(model, query, "query", set(values), tokens)
    in_text = _places(model, text, "document", set(values), tokens)
    frequencies = retriever.documents().frequencies
    found = [
        Part(
            latent,
            value,
            value / score if score else 0.0,
            asked,
            held,
            int(frequencies[latent]),
            in_query.get(latent, []),
            in_text.get(latent, []),
        )
        for latent, (value, asked, held) in values.items()
    ]
    found.sort(key=lambda part: (-part.value, part.latent))
    rank = None if place is None else place + 1
    return Pair(query, document, text, rank, len(corpus), score, found)


def parts_of(retriever: Latent, query: str, row: int) -> dict[int, tuple[float, float, float]]:
    """Of each shared latent, ascending: its part of the score, and the factors of it.

    Added up in fp32 in this order the parts are the retriever's score.
    """
    queries, documents = retriever.asked([query]), retriever.documents()
    out: dict[int, tuple[float, float, float]] = {}
    for latent in np.flatnonzero(queries.frequencies).tolist():
        asked = queries[latent][1][0]
        rows, held = documents[latent]
        at = int(np.searchsorted(rows, row))
        if at < len(rows) and rows[at] == row and asked * held[at] > 0:
            out[latent] = (float(asked * held[at]), float(asked), float(held[at]))
    return out


def _places(
    model: Model, text: str, side: str, latents: set[int], most: int
) -> dict[int, list[Place]]:
    """The tokens that each of some latents stands in, the strongest first, each word once."""
    (read,) = readings(model, [text], [0], side)
    found: dict[int, list[tuple[float, int]]] = {}
    for place, column in zip(*np.nonzero(read.weights > 0), strict=True):
        latent = int(read.latents[place, column])
        if latent in latents:
            entry = (-float(read.weights[place, column]), int(place))
            found.setdefault(latent, []).append(entry)
    out: dict[int, list[Place]] = {}
    for latent, entries in found.items():
        shown = [in_sentence(model, text, place, side) for _, place in sorted(entries)]
        out[latent] = list({one.token.casefold(): one for one in reversed(shown)}.values())[::-1]
        out[latent] = out[latent][:most]
    return out
