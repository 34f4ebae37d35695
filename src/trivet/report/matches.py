"""Where a score of late interaction comes from: which query token matched which document token.

MaxSim is a sum over query tokens (https://arxiv.org/abs/2004.12832), so unlike most scores of
neural networks it can be told term by term, and two documents' scores can be subtracted.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from trivet.core.errors import DataError, nearest
from trivet.core.records import Corpus
from trivet.models.reading import Token, read
from trivet.retrieval.colbert import ColbertRetriever


@dataclass(frozen=True)
class Matched:
    """A document of the ranking, and what each query token found in it."""

    id: str
    rank: int  # from 1, among all documents searched
    grade: int | None  # what the judges say, None where they say nothing
    title: str
    text: str  # with its title, as it was read
    tokens: list[Token]
    score: float  # the retriever's
    similarities: Tensor  # (Tq, Td) of tokens with vectors
    best: list[int]  # for each query token, which of the document's vectors
    values: list[float]  # and how similar: they add up to the score

    @property
    def kept(self) -> list[Token]:
        """The tokens that have vectors, in the order of these."""
        return [token for token in self.tokens if token.kept]


@dataclass(frozen=True)
class Matches:
    """A query and some documents, best first."""

    model: str
    query: str
    tokens: list[Token]
    documents: list[Matched]
    searched: int  # documents in all
    id: str = ""  # of the query, where it is a bench's


def match(
    retriever: ColbertRetriever,
    corpus: Corpus,
    query: str,
    *,
    top: int = 3,
    wanted: list[str] | None = None,
    grades: dict[str, int] | None = None,
    id: str = "",
) -> Matches:
    """Search, and explain the scores of the best documents, or of those named.

    If none of the best is judged relevant, the best one that is comes with them.
    """
    if not query.strip():
        raise DataError("the query is empty")
    places = {name: row for row, name in enumerate(corpus.ids)}
    for name in wanted or []:
        if name not in places:
            raise DataError(f"no document {name}", fix=nearest(name, corpus.ids))
    retriever.index(corpus)
    ranking = retriever.search(["query"], [query], len(corpus)).of(0)
    grades = grades or {}
    names = wanted or _interesting([name for name, _ in ranking], top, grades)
    ranks = {name: rank for rank, (name, _) in enumerate(ranking, 1)}
    for name in names:
        if name not in ranks:
            raise DataError("has no token with a vector", where=f"document {name}")
    names = sorted(dict.fromkeys(names), key=ranks.__getitem__)

    model = retriever.load()
    vectors = retriever.encode_queries([query])[0]  # (Tq, D)
    contents = corpus.contents()
    found: list[Matched] = []
    for name, bag in zip(names, retriever.bags([places[name] for name in names]), strict=True):
        similarities = vectors @ bag.T  # (Tq, Td)
        values, best = similarities.max(1)
        row = places[name]
        tokens = read(model, contents[row], "document")
        if sum(token.kept for token in tokens) != len(bag):
            what = "what is stored of a document is not one vector a token"
            raise DataError(what, where=f"document {name}", fix="Store all vectors, pool none")
        found.append(
            Matched(
                id=name,
                rank=ranks[name],
                grade=grades.get(name),
                title=corpus.titles[row],
                text=contents[row],
                tokens=tokens,
                score=ranking[ranks[name] - 1][1],
                similarities=similarities,
                best=best.tolist(),
                values=values.tolist(),
            )
        )
    asked = read(model, query, "query")
    return Matches(retriever.model, query, asked, found, len(corpus), id)


def _interesting(names: list[str], top: int, grades: dict[str, int]) -> list[str]:
    """The best documents, with a relevant one among them."""
    best = names[:top]
    if any(grades.get(name, 0) > 0 for name in best):
        return best
    return best + [name for name in names[top:] if grades.get(name, 0) > 0][:1]
