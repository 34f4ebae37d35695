"""The documents that a latent is decisive for: those that fall furthest in a ranking without it.

A latent's part is taken out of every score of a query that holds it, and all documents are ranked
anew. Of the first ten documents of each query, those that fall the most places are told; among
equal falls those of whose score the latent held more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trivet.bench.task import Task
from trivet.core.seeds import derive
from trivet.report.latent_look import Look
from trivet.retrieval.latent import Latent
from trivet.retrieval.postings import Postings
from trivet.retrieval.topk import id_order

_FIRST = 10
_NOTHING = 1e-5  # of a score: what is left of it is rounding
_CELLS = 1 << 26  # scores held at once


@dataclass(frozen=True)
class Decisive:
    """A document in the ranking of a query, with a latent and without it."""

    query: str  # its id
    asked: str
    document: str
    grade: int  # what the judges say, 0 where they say nothing
    rank: int
    without: int  # its rank without the latent
    share: float  # of its score


class Scores:
    """All scores of some of a task's queries, drawn by the seed."""

    def __init__(self, retriever: Latent, task: Task, look: Look) -> None:
        """Search all documents; the retriever has indexed them."""
        ids = sorted(task.queries)
        most = min(look.queries, max(1, _CELLS // len(task.corpus)))
        order = np.random.default_rng(derive(look.seed, "queries")).permutation(len(ids))[:most]
        self.task, self.ids = task, [ids[i] for i in order.tolist()]
        texts = [task.queries[name] for name in self.ids]
        ranking = retriever.search(self.ids, texts, len(task.corpus))
        self.values = np.full((len(self.ids), len(task.corpus)), -np.inf, dtype=np.float32)
        queries, places = np.nonzero(ranking.rows >= 0)
        self.values[queries, ranking.rows[queries, places]] = ranking.scores[queries, places]
        self.asked: Postings = retriever.asked(texts)
        self.documents: Postings = retriever.documents()
        self.order = id_order(task.corpus.ids)

    def decisive(self, latent: int, count: int) -> list[Decisive]:
        """The documents that fall furthest without a latent."""
        rows, held = self.documents[latent]
        found: list[Decisive] = []
        for query, asked in zip(*self.asked[latent], strict=True):
            scores = self.values[query]
            part = np.zeros_like(scores)
            part[rows] = asked * held
            left = scores - part
            left[left <= _NOTHING * scores] = -np.inf  # it was all that they share
            best = np.argpartition(-scores, min(_FIRST, len(scores) - 1))[: _FIRST + 1]
            best = best[np.isfinite(scores[best]) & (part[best] > 0)]
            before, after = _ranks(scores, best, self.order), _ranks(left, best, self.order)
            name = self.ids[int(query)]
            for row, first, then in zip(best.tolist(), before, after, strict=True):
                if first > _FIRST or then <= first:
                    continue
                document = self.task.corpus.ids[row]
                grade = self.task.qrels[name].get(document, 0)
                share = float(part[row] / scores[row])
                text = self.task.queries[name]
                found.append(Decisive(name, text, document, grade, first, then, share))
        found.sort(key=lambda one: (one.rank - one.without, -one.share, one.query, one.document))
        return found[:count]


def _ranks(
    scores: NDArray[np.float32], rows: NDArray[np.int64], order: NDArray[np.int64]
) -> Sequence[int]:
    """The places of some documents, from 1; what is not found is behind all that is."""
    own = scores[rows][:, None]  # (n, 1)
    ahead = (scores > own) | ((scores == own) & (order > order[rows][:, None]))
    return (1 + ahead.sum(1)).tolist()
