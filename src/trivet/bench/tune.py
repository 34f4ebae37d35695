"""Weights of a fusion, chosen on queries that are not the ones to be reported."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator

from trivet.bench.bench import Bench
from trivet.bench.evaluate import without_self
from trivet.bench.metrics import measure
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
    for source in bench.tasks:
        task, metric = source.load(), bench.main_of(source.name)
        tasks.append(task.name)
        retriever.adapt(task.lengths, task.prompts)
        retriever.index(task.corpus)
        found = retriever.search_parts(list(task.queries), list(task.queries.values()), depth)
        for weights in totals:
            ranking = retriever.fuse(found, depth, dict(zip(names, weights, strict=True)))
            ranking = without_self(ranking, depth) if task.drop_self else ranking
            values = measure(ranking, task.qrels, [metric])[metric]
            totals[weights] += float(values.mean()) / len(bench.tasks)
    best = max(totals, key=lambda weights: (totals[weights], weights))
    retriever.tuned(dict(zip(names, best, strict=True)), tasks)
    said = ", ".join(f"{name} {weight}" for name, weight in retriever.weights.items())
    log.info("hybrid: tuned on %s: %s (%.4f)", bench.name, said, totals[best])


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
