"""Means over tasks, as the papers take them: first within a group, then over what is left."""

from __future__ import annotations

from collections.abc import Mapping

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


def overall(values: Values, bench: Bench) -> float:
    """The mean of each task's or group's main metric: each counts once."""
    groups = by_group(values)
    units = {task: metrics for task, metrics in values.items() if group(task) not in groups}
    every = [metrics[bench.main_of(name)] for name, metrics in (units | groups).items()]
    return _mean(every)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
