"""A ranking that cannot be trusted is refused before it is measured."""

from __future__ import annotations

import numpy as np

from trivet.core.errors import TrivetError
from trivet.core.records import Ranking


def validate(ranking: Ranking, queries: list[str]) -> None:
    """Every query is there, documents are unique, scores finite, and the order is trec_eval's."""
    if ranking.queries != queries:
        missing = sorted(set(queries) - set(ranking.queries))
        what = f"query {missing[0]} is missing" if missing else "queries are not those asked for"
        raise TrivetError(what, where="ranking")
    if ranking.rows.shape != ranking.scores.shape or len(ranking.rows) != len(queries):
        raise TrivetError("rows and scores have other shapes", where="ranking")
    for i, query in enumerate(queries):
        found = ranking.rows[i] >= 0
        rows, scores = ranking.rows[i][found], ranking.scores[i][found]
        where = f"ranking of query {query}"
        if len(rows) and int(rows.max()) >= len(ranking.documents):
            raise TrivetError("a row names no document", where=where)
        if not np.isfinite(scores).all():
            raise TrivetError("a score is not finite", where=where)
        if len(np.unique(rows)) < len(rows):
            raise TrivetError("a document stands twice", where=where)
        pairs = ranking.of(i)
        for (document, score), (after, lower) in zip(pairs, pairs[1:], strict=False):
            if score < lower or (score == lower and document < after):
                raise TrivetError(f"{document} and {after} are out of order", where=where)
