"""One retriever on one task: index, search, validate, measure. Writes nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from trivet.bench.given import Given
from trivet.bench.metrics import Values, check_depth, deepest, measure
from trivet.bench.task import Task
from trivet.bench.validate import validate
from trivet.core.ranks import gather, rank, world
from trivet.core.records import Ranking
from trivet.retrieval.protocol import Adaptable, Retriever, Selfless
from trivet.retrieval.topk import without_self


@dataclass(frozen=True)
class Result:
    """What was found and measured."""

    task: Task
    k: int
    metrics: dict[str, float]
    per_query: dict[str, Values]
    ranking: Ranking
    seconds: dict[str, float]
    retriever: dict[str, Any]


def evaluate(task: Task, retriever: Retriever, *, k: int, metrics: list[str]) -> Result:
    """Measure a retriever; a query that finds nothing counts as 0."""
    check_depth(metrics, k)
    began = time.perf_counter()
    if isinstance(retriever, Adaptable):
        retriever.adapt(task.lengths, task.prompts)
    if isinstance(retriever, Selfless):
        retriever.leave_out_self(task.drop_self)
    if isinstance(retriever, Given):
        retriever.open(task, deepest(metrics))
    retriever.index(task.corpus)
    indexed = time.perf_counter()
    queries = list(task.queries)
    ranking = _search(task, retriever, k + 1 if task.drop_self else k)
    searched = time.perf_counter()
    if task.drop_self:
        ranking = without_self(ranking, k)
    validate(ranking, queries)
    per_query = measure(ranking, task.qrels, metrics)
    return Result(
        task=task,
        k=k,
        metrics={name: float(values.mean()) for name, values in per_query.items()},
        per_query=per_query,
        ranking=ranking,
        seconds={
            "index": round(indexed - began, 3),
            "search": round(searched - indexed, 3),
            "measure": round(time.perf_counter() - searched, 3),
        },
        retriever=retriever.describe(),
    )


def _search(task: Task, retriever: Retriever, depth: int) -> Ranking:
    """Each process searches for its share of the queries; all of them have the whole ranking."""
    ids, texts = list(task.queries), list(task.queries.values())
    if world() == 1:
        return retriever.search(ids, texts, depth)
    cuts = [len(ids) * i // world() for i in range(world() + 1)]
    mine = slice(cuts[rank()], cuts[rank() + 1])
    parts: list[Ranking] = gather(retriever.search(ids[mine], texts[mine], depth))
    return Ranking(
        ids,
        parts[0].documents,
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.scores for part in parts]),
    )
