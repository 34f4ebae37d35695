"""Rows against a baseline, task by task: means, intervals, differences and corrected p-values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trivet.bench.average import shares
from trivet.bench.bench import group
from trivet.bench.significance import (
    ROUNDS,
    document_groups,
    draws_together,
    holm,
    percentiles,
    permutation,
    share_of_sharing,
)
from trivet.core.errors import ConfigError, TrivetError
from trivet.report.ledger_table import IN_DOMAIN
from trivet.report.selection import Choice, aligned, check_comparable, read_scores

Values = NDArray[np.float64]
SHARING = 1 / 3  # of the queries; from there on intervals draw documents


@dataclass(frozen=True)
class Against:
    """How a row differs from the baseline."""

    difference: float
    interval: tuple[float, float]
    p: float
    p_holm: float  # corrected over all rows of the table

    @property
    def significant(self) -> bool:
        """p is small, and so is the interval: it knows of seeds and documents, p does not."""
        low, high = self.interval
        return self.p_holm < 0.05 and not low <= 0 <= high


@dataclass(frozen=True)
class Line:
    """One row of a comparison."""

    name: str
    ids: list[str]
    seeds: int
    in_domain: bool
    mean: float
    interval: tuple[float, float]
    against: Against | None  # None: this is the baseline


@dataclass(frozen=True)
class Comparison:
    """One table: a task, or the average over tasks."""

    title: str
    metric: str
    queries: int
    lines: list[Line]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Sample:
    """One choice on one task."""

    name: str
    ids: list[str]
    in_domain: bool
    scores: Values  # (S, Q)
    drawn: Values  # (R,)


def compare(
    ledger: Path,
    choices: Sequence[Choice],
    metric: str,
    *,
    across: Collection[str] = (),
    seed: int = 0,
    rounds: int = ROUNDS,
    partial: bool = False,
) -> list[Comparison]:
    """A table for each task that every choice was measured on, and their average at the end.

    With `partial` a choice need not have every task: it stands in the tables of those it has, and
    in the average only if it has all.
    """
    if rounds < 1:
        raise ConfigError("must be at least 1", where="--rounds")
    tasks, left_out = _common(choices, partial)
    if partial:
        tasks, left_out = [*tasks, *left_out], []
    out: list[Comparison] = []
    samples: list[list[_Sample]] = []
    said: list[str] = []
    for number, task in enumerate(tasks):
        having = [choice for choice in choices if choice.of(task)]
        found, notes = _samples(ledger, having, task, metric, across, (seed, rounds, number))
        samples.append(found)
        said += [f"{task}: {note}" for note in notes]
        notes = [*_method(found, seed, rounds), *notes]
        if any(sample.in_domain for sample in found):
            notes.append(IN_DOMAIN.format(task))
        out.append(_compare(task, metric, [found], [1.0], notes, seed, rounds))
    if len(tasks) > 1:
        samples = _whole(samples)
        notes = [*_method([sample for found in samples for sample in found], seed, rounds), *said]
        if any(sample.in_domain for found in samples for sample in found):
            notes.append(IN_DOMAIN.format("one of the tasks"))
        notes += [
            f"of the average {name} is one part: the mean of its {count} tasks"
            for name, count in Counter(map(group, tasks)).items()
            if count > 1
        ]
        weights = list(shares(tasks).values())
        out.append(_compare("average", metric, samples, weights, notes, seed, rounds))
    if left_out:
        out[-1].notes.append("left out, not measured for every row: " + ", ".join(left_out))
    return out


def _common(choices: Sequence[Choice], partial: bool) -> tuple[list[str], list[str]]:
    """The tasks that all choices have, and those that only some have."""
    known = [list(dict.fromkeys(row["task"] for row in choice.rows)) for choice in choices]
    every = list(dict.fromkeys(task for tasks in known for task in tasks))
    common = [task for task in every if all(task in tasks for tasks in known)]
    if not common and not partial:
        has = "; ".join(f"{c.name}: {', '.join(t)}" for c, t in zip(choices, known, strict=True))
        raise TrivetError(f"no task was measured for every row ({has})", where="compare")
    return common, [task for task in every if task not in common]


def _whole(tasks: list[list[_Sample]]) -> list[list[_Sample]]:
    """Of each task the samples of the choices that have every task."""
    names = [{one.name for one in found} for found in tasks]
    whole = set.intersection(*names)
    return [[one for one in found if one.name in whole] for found in tasks]


def _samples(
    ledger: Path,
    choices: Sequence[Choice],
    task: str,
    metric: str,
    across: Collection[str],
    drawing: tuple[int, int, int],
) -> tuple[list[_Sample], list[str]]:
    """The scores of every choice on a task, drawn alike, and what must be said of them."""
    chosen = [choice.of(task) for choice in choices]
    rows = [row for part in chosen for row in part]
    allowed = check_comparable(rows, across)
    notes = [f"rows differ in {', '.join(allowed)}, which was allowed"] if allowed else []
    scores = [read_scores(ledger, row, metric) for row in rows]
    values = aligned(scores, rows)  # (rows, Q)
    relevant = next((one.relevant for one in scores if one.relevant is not None), None)
    groups = None
    if relevant is None:
        notes.append(
            "relevant documents were not kept with these rows: queries count as independent"
        )
    else:
        documents = [relevant[query] for query in scores[0].queries]
        share = share_of_sharing(documents)
        if share > SHARING:
            groups = document_groups(documents)
            notes.append(
                f"{share:.0%} of the queries share a relevant document with another: "
                "intervals resample documents as well, p does not"
            )
    seed, rounds, number = drawing
    parts = np.split(values, np.cumsum([len(part) for part in chosen])[:-1])
    together = draws_together(parts, seed=seed, rounds=rounds, groups=groups, task=number)
    found: list[_Sample] = []
    for choice, part, of_choice, drawn in zip(choices, chosen, parts, together, strict=True):
        ids = [row["id"] for row in part]
        in_domain = any(row["in_domain"] for row in part)
        found.append(_Sample(choice.name, ids, in_domain, of_choice, drawn))
    return found, notes


def _compare(
    title: str,
    metric: str,
    tasks: list[list[_Sample]],
    weights: Sequence[float],
    notes: list[str],
    seed: int,
    rounds: int,
) -> Comparison:
    """Every choice against the first one, on the mean over tasks: each has its weight in it."""
    if not tasks[0]:  # nobody has every task
        return Comparison(title, metric, 0, [], notes)
    by_choice = list(zip(*tasks, strict=True))  # of each choice its tasks
    means = [float(np.dot(weights, [one.scores.mean() for one in part])) for part in by_choice]
    drawn = [np.dot(weights, np.stack([one.drawn for one in part])) for part in by_choice]
    # a query's part in the mean over tasks, so that the test's sum is that mean
    of_queries = [
        np.concatenate(
            [
                weight * one.scores.mean(axis=0) / one.scores.shape[1]
                for weight, one in zip(weights, part, strict=True)
            ]
        )
        for part in by_choice
    ]
    first, *others = of_queries
    p = [permutation(other, first, seed=seed, rounds=rounds) for other in others]
    against: list[Against | None] = [None]
    for i, (raw, corrected) in enumerate(zip(p, holm(p), strict=True), 1):
        interval = percentiles(drawn[i] - drawn[0])
        against.append(Against(means[i] - means[0], interval, raw, corrected))
    lines = [
        Line(
            name=part[0].name,
            ids=[name for one in part for name in one.ids],
            seeds=max(len(one.scores) for one in part),
            in_domain=any(one.in_domain for one in part),
            mean=means[i],
            interval=percentiles(drawn[i]),
            against=against[i],
        )
        for i, part in enumerate(by_choice)
    ]
    return Comparison(title, metric, len(first), lines, notes)


def _method(samples: Sequence[_Sample], seed: int, rounds: int) -> list[str]:
    """How the figures were made, for below a table."""
    notes = [
        f"intervals: 95%, bootstrap of {rounds} rounds, seed {seed}; p: paired sign-flip test, "
        "Holm-corrected over the rows of the table",
        "† corrected p < 0.05, and the interval of the difference leaves out 0",
    ]
    seeds: dict[str, int] = {}
    for sample in samples:
        seeds[sample.name] = max(seeds.get(sample.name, 1), len(sample.scores))
    notes += [
        f"{name}: mean of {count} seeds; intervals resample seeds and queries"
        for name, count in seeds.items()
        if count > 1
    ]
    if len(set(seeds.values())) > 1:
        low, high = min(seeds.values()), max(seeds.values())
        blind = ": with one, an interval knows nothing of how seeds differ" if low == 1 else ""
        notes.append(f"rows have {low} to {high} seeds{blind}")
    return notes
