"""A row measured again, and what of it came out otherwise.

What makes a number (data, model, depth, settings) must be equal; where and when it was measured may
differ and is told as context.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from trivet.bench.evaluation import Evaluation
from trivet.bench.trec import read_lines
from trivet.core.errors import DataError, TrivetError, nearest
from trivet.core.files import read_json

Row = dict[str, Any]
CAUSES = ("task", "split", "data", "documents", "queries", "k", "drop_self", "seed", "in_domain")
CONTEXT = ("time", "seconds", "trivet", "git", "libraries", "hardware")
_NAMES = ("model", "parameters")  # of a retriever: the key says what it is
_TOLERANCE = {"bf16": 1e-3}
_FP32 = 1e-6


@dataclass(frozen=True)
class Reproduction:
    """A row beside its second measurement."""

    row: str  # its id
    task: str
    tolerance: float
    unequal: dict[str, list[Any]]  # causes that differ: then and now
    metrics: dict[str, dict[str, Any]]  # then, now, difference, and in how many queries
    scores: dict[str, Any] | None  # of the ranking; None where it was not kept
    context: dict[str, list[Any]]  # what else differs

    def first(self) -> str:
        """What differs first; empty if nothing does: causes go before the numbers they change."""
        for name, (then, now) in self.unequal.items():
            return f"{name} was {_short(then)}, is {_short(now)}"
        for name, found in self.metrics.items():
            if found["now"] is None or abs(found["difference"]) > self.tolerance:
                return f"{name} was {found['then']}, is {found['now']}"
        return ""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**vars(self), "reproduced": not self.first(), "first": self.first()}

    def lines(self) -> list[str]:
        """One line a fact, for a terminal."""
        out = [f"row {self.row}, {self.task}"]
        for name, found in self.metrics.items():
            now = "not measured" if found["now"] is None else f"{found['now']:.6f}"
            of = "" if found["queries"] is None else f", other in {found['queries']} queries"
            out.append(f"  {name:<12} {found['then']:.6f}  {now}{of}")
        if self.scores is not None:
            out.append(
                f"  scores       differ by {self.scores['difference']:.2e} at most, "
                f"{self.scores['apart']} of {self.scores['found']} documents in one ranking only"
            )
        out += [f"  {n}: {_short(a)}, now {_short(b)}" for n, (a, b) in self.unequal.items()]
        if self.context:
            out.append("what may differ, and does:")
        out += [f"  {n}: {_short(a)}, now {_short(b)}" for n, (a, b) in self.context.items()]
        return out


def find_row(rows: Sequence[Row], word: str, where: str) -> Row:
    """The row with that id, or the only one whose id begins so or whose label it is."""
    found = [row for row in rows if word and (row["id"].startswith(word) or row["label"] == word)]
    exact = [row for row in found if row["id"] == word]
    if exact or len(found) == 1:
        return (exact or found)[0]
    if found:
        ids = " or ".join(f"{row['id']} ({row['task']})" for row in found[-3:])
        raise TrivetError(f"{word} names {len(found)} rows", where=where, fix=f"It may be {ids}")
    fix = nearest(word, {row["label"] for row in rows})
    raise TrivetError(f"no row {word}", where=where, fix=fix)


def reproduce(ledger: Path, row: Row, evaluation: Evaluation) -> Reproduction | None:
    """Run the row's task again, its new row apart from the ledger; only the first process has it.

    `evaluation` is that of the row's command.
    """
    tasks = evaluation.bench.tasks
    if len(tasks) > 1:
        tasks = [source for source in tasks if source.name == row["task"]]
    if not tasks:
        what = f"its command measures no task {row['task']}"
        raise DataError(what, where=f"row {row['id']}")
    with tempfile.TemporaryDirectory(prefix="trivet-repro-") as room:
        aside = Path(room) / "ledger.jsonl"
        bench = replace(evaluation.bench, tasks=tasks, pick=None, data=None)
        rows = replace(evaluation, bench=bench, ledger=str(aside)).run(row["command"])
        return compare(ledger, row, aside, rows[0]) if rows else None


def compare(ledger: Path, then: Row, other: Path, now: Row) -> Reproduction:
    """Field by field, query by query, document by document."""
    precision = then["retriever"]["precision"]
    tolerance = _TOLERANCE.get(precision, _FP32)
    unequal = _unequal(then, now, CAUSES)
    one, two = then["retriever"], now["retriever"]
    keys = [key for key in {**one, **two} if key not in _NAMES]
    unequal |= {f"retriever.{k}": v for k, v in _unequal(one, two, keys).items()}
    context = _unequal(then, now, [name for name in CONTEXT if name != "libraries"])
    context |= _unequal(then["libraries"], now["libraries"], {**then["libraries"]})
    context |= {f"retriever.{k}": v for k, v in _unequal(one, two, _NAMES).items()}
    return Reproduction(
        row=then["id"],
        task=then["task"],
        tolerance=tolerance,
        unequal=unequal,
        metrics=_metrics(ledger, then, other, now, tolerance),
        scores=_scores(ledger.parent / then["ranking"], other.parent / now["ranking"]),
        context=context,
    )


def _unequal(one: Row, two: Row, names: Any) -> dict[str, list[Any]]:
    pairs = {name: [one.get(name), two.get(name)] for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _metrics(
    ledger: Path, then: Row, other: Path, now: Row, tolerance: float
) -> dict[str, dict[str, Any]]:
    path = ledger.parent / then["per_query"]
    old: dict[str, Any] = read_json(path) if path.is_file() else {"queries": []}
    new: dict[str, Any] = read_json(other.parent / now["per_query"])
    same = old["queries"] == new["queries"]
    out: dict[str, dict[str, Any]] = {}
    for name, value in then["metrics"].items():
        again = now["metrics"].get(name)
        count = None
        if same and name in old and name in new:
            count = int((np.abs(np.subtract(old[name], new[name])) > tolerance).sum())
        difference = None if again is None else again - value
        out[name] = {"then": value, "now": again, "difference": difference, "queries": count}
    return out


def _scores(old: Path, new: Path) -> dict[str, Any] | None:
    if not old.is_file():
        return None
    one, two = (
        {(line.query, line.document): line.score for line in read_lines(path)}
        for path in (old, new)
    )
    both = one.keys() & two.keys()
    return {
        "difference": max((abs(one[pair] - two[pair]) for pair in both), default=0.0),
        "found": len(one),
        "apart": len(one.keys() ^ two.keys()),
    }


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
