"""A leaderboard for each bench: every label's mean, its interval, and how it differs from one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trivet.report.comparison import Comparison, Line, compare
from trivet.report.selection import Choice
from trivet.report.site.slugs import slugs

Row = dict[str, Any]
METRIC = "ndcg@10"
_VARY = ("data", "split", "drop_self")  # of one task: other numbers are then to be expected
_ACROSS = ("k", "lengths", "prompts")  # models differ in these; a page says how


@dataclass(frozen=True)
class Board:
    """One bench: a table a task, and the average over tasks last."""

    bench: str
    metric: str
    baseline: str
    tables: list[Comparison]
    choices: list[Choice]
    left_out: list[str]  # labels without the metric
    page: str = ""  # what its pages and files are called after

    @property
    def tasks(self) -> list[Comparison]:
        """The tables of tasks, without the average."""
        return self.tables[:-1] if len(self.tables) > 1 else self.tables

    @property
    def overall(self) -> dict[str, Line]:
        """The lines of the average, or of the only task, by label."""
        return {line.name: line for line in self.tables[-1].lines}

    def ordered(self) -> list[Choice]:
        """The best average first; then those that lack a task."""
        means = {name: line.mean for name, line in self.overall.items()}
        return sorted(self.choices, key=lambda choice: -means.get(choice.name, -1.0))


def boards(
    ledger: Path, rows: Sequence[Row], metrics: Mapping[str, str], rounds: int
) -> list[Board]:
    """A board for each bench, in the order of its first row; the widest ones first."""
    out: list[Board] = []
    for bench in dict.fromkeys(row["bench"] for row in rows):
        inside = _told_apart([row for row in rows if row["bench"] == bench])
        metric = metrics.get(bench) or _metric(inside)
        having = [row for row in inside if metric in row["metrics"]]
        if having:
            out.append(_board(ledger, bench, metric, inside, having, rounds))
    out.sort(key=lambda board: -len(board.choices))
    pages = slugs([board.bench for board in out])
    return [replace(board, page=page) for board, page in zip(out, pages, strict=True)]


def _board(
    ledger: Path, bench: str, metric: str, inside: list[Row], having: list[Row], rounds: int
) -> Board:
    choices = choices_of(having)
    baseline = _baseline(choices)
    choices.sort(key=lambda choice: choice is not baseline)
    tables = compare(ledger, choices, metric, across=_ACROSS, rounds=rounds, partial=True)
    left_out = {row["label"] for row in inside} - {choice.name for choice in choices}
    return Board(bench, metric, baseline.name, tables, choices, sorted(left_out))


def choices_of(rows: Sequence[Row]) -> list[Choice]:
    """What `trivet compare` would call by each label."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["label"], []).append(row)
    return [Choice(label, of_label) for label, of_label in found.items()]


def _metric(rows: Sequence[Row]) -> str:
    """nDCG@10 where a row has it, else what most rows have."""
    known = Counter(name for row in rows for name in row["metrics"])
    return METRIC if METRIC in known else known.most_common(1)[0][0]


def _baseline(choices: Sequence[Choice]) -> Choice:
    """A lexical retriever of as many tasks as any, else the first one with as many."""

    def worth(choice: Choice) -> tuple[int, bool]:
        tasks = {row["task"] for row in choice.rows}
        return len(tasks), all(row["retriever"]["kind"] == "bm25" for row in choice.rows)

    return max(choices, key=worth)


def _told_apart(rows: list[Row]) -> list[Row]:
    """Rows of one task on other data are a task of their own, named by what differs."""
    values: dict[str, dict[str, set[Any]]] = {}
    for row in rows:
        of_task = values.setdefault(row["task"], {name: set() for name in _VARY})
        for name in _VARY:
            of_task[name].add(row[name])
    out: list[Row] = []
    for row in rows:
        names = [name for name in _VARY if len(values[row["task"]][name]) > 1]
        told = ", ".join(f"{name} {str(row[name])[:12]}" for name in names)
        out.append({**row, "task": f"{row['task']} ({told})"} if told else row)
    return out
