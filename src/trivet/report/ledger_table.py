"""Rows of the ledger side by side, with published figures below and marked as such."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from trivet.bench.average import means
from trivet.core.errors import TrivetError, nearest
from trivet.report.references import references
from trivet.report.render import Table, best_cells

Row = dict[str, Any]
IN_DOMAIN = "* trained on {}'s own train split: not comparable with zero-shot rows"


def of_bench(rows: Sequence[Row], bench: str | None) -> list[Row]:
    """The rows of one bench, or all of them."""
    known = {row["bench"] for row in rows}
    if bench is not None and bench not in known:
        raise TrivetError(f"no row of bench {bench}", where="--bench", fix=nearest(bench, known))
    return [row for row in rows if bench in (None, row["bench"])]


def latest(rows: Iterable[Row]) -> list[Row]:
    """The last row of each label on each task, in the order they first came."""
    found: dict[tuple[str, str], Row] = {}
    for row in rows:
        found[(row["task"], row["label"])] = row
    return list(found.values())


def by_task(
    rows: Sequence[Row],
    metrics: Sequence[str],
    *,
    share_of: str | None = None,
    published: bool = False,
) -> list[Table]:
    """A table for each task, with those of the metrics that were measured on it.

    `share_of` names the label whose first metric is 100%.
    """
    out: list[Table] = []
    for metric in metrics:
        if not any(metric in row["metrics"] for row in rows):
            measured(rows[0], metric)
    for task in dict.fromkeys(row["task"] for row in rows):
        here = [row for row in rows if row["task"] == task]
        own = [metric for metric in metrics if any(metric in row["metrics"] for row in here)]
        if own:
            out.append(_task(here, task, own, share_of))
        out += _published([task], f"{task}, published elsewhere", metrics) if published else []
    return out


def _task(rows: list[Row], task: str, metrics: Sequence[str], share_of: str | None) -> Table:
    several = _seeds(rows)
    rows = latest(rows)
    values = [[row["metrics"].get(metric) for metric in metrics] for row in rows]
    cells = [
        [
            row["label"] + (" *" if row["in_domain"] else ""),
            *(_cell(value, False) for value in line),
        ]
        for row, line in zip(rows, values, strict=True)
    ]
    headers = list(metrics)
    if share_of is not None:
        labels = {row["label"]: measured(row, metrics[0]) for row in rows}
        if share_of not in labels:
            raise TrivetError(f"no row {share_of}", where=task, fix=nearest(share_of, labels))
        if labels[share_of] == 0:
            raise TrivetError(f"{share_of} has {metrics[0]} 0, no share of it", where=task)
        headers.append(f"of {share_of}")
        for line, row in zip(cells, rows, strict=True):
            line.append(f"{labels[row['label']] / labels[share_of]:.1%}")
    notes = [IN_DOMAIN.format(task)] if any(row["in_domain"] for row in rows) else []
    notes += _unlike(rows) + several
    marked = [bool(row["in_domain"]) for row in rows]
    columns = {
        j + 1: without_marked([line[j] for line in values], marked) for j in range(len(metrics))
    }
    return Table(task, headers, cells, notes, best_cells(columns))


def across_tasks(rows: Sequence[Row], metric: str, *, published: bool = False) -> list[Table]:
    """One table: a row a label, a column a task, then means of labels with all of their tasks."""
    several = _seeds(rows)
    rows = latest(rows)
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    labels = list(dict.fromkeys(row["label"] for row in rows))
    at = {(row["label"], row["task"]): row for row in rows}
    shares = means(tasks)
    values: list[list[float | None]] = []
    marks: list[list[bool]] = []
    for label in labels:
        found = [at.get((label, task)) for task in tasks]
        line = [None if row is None else measured(row, metric) for row in found]
        marked = [row is not None and row["in_domain"] for row in found]
        for share in shares.values():
            own = {task: at[label, task] for task in share if (label, task) in at}
            line.append(_mean(own, share, metric) if len(own) == len(share) else None)
            marked.append(any(row["in_domain"] for row in own.values()))
        values.append(line)
        marks.append(marked)
    cells = [
        [label, *(_cell(value, mark) for value, mark in zip(line, marked, strict=True))]
        for label, line, marked in zip(labels, values, marks, strict=True)
    ]
    columns = {
        j + 1: without_marked([line[j] for line in values], [line[j] for line in marks])
        for j in range(len(values[0]))
    }
    notes = [IN_DOMAIN.format("the task")] if any(row["in_domain"] for row in rows) else []
    for task in tasks:
        notes += _unlike([row for row in rows if row["task"] == task])
    notes += several
    out = [Table(metric, [*tasks, *shares], cells, notes, best_cells(columns))]
    if published:
        out += _published(tasks, f"{metric}, published elsewhere", [metric])
    return out


def _mean(rows: Mapping[str, Row], shares: Mapping[str, float], metric: str) -> float:
    return sum(shares[task] * measured(row, metric) for task, row in rows.items())


def _cell(value: float | None, mark: bool) -> str:
    return "" if value is None else f"{value:.4f}" + (" *" if mark else "")


def without_marked(values: Sequence[float | None], marked: Sequence[bool]) -> list[float | None]:
    """What may be the best of a column: in-domain values only where there are no others."""
    alone = all(mark for value, mark in zip(values, marked, strict=True) if value is not None)
    pairs = zip(values, marked, strict=True)
    return [value if alone or not mark else None for value, mark in pairs]


def measured(row: Row, metric: str) -> float:
    """One of a row's metrics."""
    if metric not in row["metrics"]:
        fix = nearest(metric, row["metrics"])
        raise TrivetError(f"{metric} was not measured", where=row["task"], fix=fix)
    return row["metrics"][metric]


def _unlike(rows: Sequence[Row]) -> list[str]:
    """A note where rows of one task were not measured on the same thing."""
    names = [n for n in ("data", "split", "k", "drop_self") if len({row[n] for row in rows}) > 1]
    return [f"{rows[0]['task']}: rows differ in {', '.join(names)}"] if names else []


def _seeds(rows: Sequence[Row]) -> list[str]:
    """A note where only one of a label's seeds is shown."""
    seeds: dict[str, set[int | None]] = {}
    for row in rows:
        seeds.setdefault(row["label"], set()).add(row["seed"])
    return [
        f"{label}: the last of {len(found)} seeds; trivet compare takes them all"
        for label, found in seeds.items()
        if len(found) > 1
    ]


def _published(tasks: Sequence[str], title: str, metrics: Sequence[str]) -> list[Table]:
    known = references(set(tasks))
    names = [metric for metric in metrics if any(metric in r.metrics for r in known)]
    if not names:
        return []
    several = len(tasks) > 1
    cells = [
        [
            f"{r.label}, {r.task}" if several else r.label,
            *(f"{r.metrics[n]:.3f}" if n in r.metrics else "" for n in names),
            r.source,
        ]
        for r in known
    ]
    return [Table(title, [*names, "source"], cells)]
