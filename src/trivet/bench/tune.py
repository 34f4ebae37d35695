"""Weights of a fusion, chosen on queries that are not the ones to be reported."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from dataclasses import replace

from trivet.bench.bench import Bench
from trivet.bench.metrics import measure
from trivet.bench.task import Task
from trivet.core.errors import ConfigError
from trivet.retrieval.hybrid import Hybrid

log = logging.getLogger("trivet")
_STEPS = 10


def tune(retriever: Hybrid, bench: Bench, reported: Bench) -> None:
    """Give a fusion the weights, in tenths, with the best main metric on a train or dev bench."""
    _refuse_test(bench, reported)
    names = list(retriever.parts)
    depth = max(100, retriever.depth)
    totals = {weights: 0.0 for weights in _grid(len(names))}
    tasks: list[str] = []
    told = {text for source in reported.tasks for text in source.load().queries.values()}
    for source in bench.tasks:
        task, metric = _without(source.load(), told), bench.main_of(source.name)
        tasks.append(task.name)
        retriever.adapt(task.lengths, task.prompts)
        retriever.leave_out_self(task.drop_self)
        retriever.index(task.corpus)
        found = retriever.search_parts(list(task.queries), list(task.queries.values()), depth)
        for weights in totals:
            ranking = retriever.fuse(found, depth, dict(zip(names, weights, strict=True)))
            values = measure(ranking, task.qrels, [metric])[metric]
            totals[weights] += float(values.mean()) / len(bench.tasks)
    best = max(totals, key=lambda weights: (totals[weights], weights))
    retriever.tuned(dict(zip(names, best, strict=True)), tasks)
    said = ", ".join(f"{name} {weight}" for name, weight in retriever.weights.items())
    log.info("hybrid: tuned on %s: %s (%.4f)", bench.name, said, totals[best])


def _without(task: Task, told: set[str]) -> Task:
    """A task less the queries that are reported, under whatever split's name."""
    kept = {query: text for query, text in task.queries.items() if text not in told}
    if not kept:
        what = f"all queries of {task.name}'s {task.split} split are among those that are reported"
        raise ConfigError(what, where="tune", fix="Tune on other queries")
    if len(kept) < len(task.queries):
        less = len(task.queries) - len(kept)
        log.warning("tune: %d queries of %s are also reported and left out", less, task.name)
    judged = {query: grades for query, grades in task.qrels.items() if query in kept}
    return replace(task, queries=kept, qrels=judged)


def _grid(parts: int) -> Iterator[tuple[float, ...]]:
    """All weights in tenths that add up to 1, each above 0."""
    for cuts in itertools.combinations(range(1, _STEPS), parts - 1):
        edges = (0, *cuts, _STEPS)
        yield tuple((b - a) / _STEPS for a, b in itertools.pairwise(edges))


def _refuse_test(bench: Bench, reported: Bench) -> None:
    told = {(source.name, getattr(source, "split", None)) for source in reported.tasks}
    for source in bench.tasks:
        split = getattr(source, "split", None)
        if split == "test" or (source.name, split) in told:
            what = f"{source.name or 'the task'}'s {split} split is what is reported"
            raise ConfigError(what, where="tune", fix="Tune on a train or dev split")
