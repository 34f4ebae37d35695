"""Means over tasks, as the papers take them: first within a group, then over what is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from trivet.bench.bench import Bench, group

Values = Mapping[str, Mapping[str, float]]  # task > metric > value


def by_group(values: Values) -> dict[str, dict[str, float]]:
    """The mean of each group that has parts: CQADupStack is the mean of twelve forums."""
    parts: dict[str, list[Mapping[str, float]]] = {}
    for task, metrics in values.items():
        if group(task) != task:
            parts.setdefault(group(task), []).append(metrics)
    return {
        name: {metric: _mean([part[metric] for part in found]) for metric in found[0]}
        for name, found in parts.items()
    }


def shares(tasks: Collection[str]) -> dict[str, float]:
    """What each task is of the mean over all: a group counts once, its parts alike."""
    parts = Counter(map(group, tasks))
    return {task: 1 / (len(parts) * parts[group(task)]) for task in tasks}


def means(tasks: Collection[str]) -> dict[str, dict[str, float]]:
    """The shares behind each mean of a table: of groups with several parts, and of all of it."""
    found: dict[str, dict[str, float]] = {}
    parts = Counter(map(group, tasks))
    for name, count in parts.items():
        if count > 1 and len(parts) > 1:
            found[f"{name}, mean"] = {task: 1 / count for task in tasks if group(task) == name}
    return found | ({"average": shares(tasks)} if len(tasks) > 1 else {})


def overall(values: Values, bench: Bench) -> float:
    """The mean of each task's or group's main metric: each counts once."""
    share = shares(values)
    return sum(share[task] * found[bench.main_of(task)] for task, found in values.items())


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
