"""Ablations: each level against the baseline, on every task and over all of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trivet.core.errors import NotComparable, TrivetError
from trivet.report.comparison import Comparison, compare
from trivet.report.selection import Choice, choose
from trivet.report.site.boards import METRIC
from trivet.report.site.pages import Question
from trivet.report.site.sweeps import by_level, identity, short

Row = dict[str, Any]


@dataclass(frozen=True)
class Study:
    """One ablation on one bench; the first choice is the baseline."""

    name: str
    title: str
    text: str
    bench: str
    choices: list[Choice]
    tables: list[Comparison]  # the average over tasks last
    refused: str = ""  # why there are no tables

    @property
    def pooled(self) -> Comparison:
        """Over all tasks; the only task where there is one."""
        return self.tables[-1]


def asked(
    ledger: Path,
    rows: Sequence[Row],
    questions: Sequence[Question],
    metrics: Mapping[str, str],
    rounds: int,
) -> list[Study]:
    """The ablations that a file names; a label that is not there is an error."""
    out: list[Study] = []
    for one in questions:
        try:
            choices = choose(rows, one.rows, one.bench)
        except TrivetError as error:
            raise TrivetError(f"{one.name}: {error.what}", where="pages", fix=error.fix) from None
        metric = metrics.get(one.bench, METRIC)
        words = (one.name, one.title, one.text)
        out.append(_study(ledger, words, choices, metric, rounds, one.across))
    return out


def swept(
    ledger: Path, rows: Sequence[Row], metrics: Mapping[str, str], rounds: int
) -> list[Study]:
    """The ablations that rows say they are of, one a sweep and bench."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.get("sweep"):
            found.setdefault((row["sweep"]["name"], row["bench"]), []).append(row)
    several = {name for name, _ in found if [n for n, _ in found].count(name) > 1}
    out: list[Study] = []
    for (name, bench), of_sweep in found.items():
        choices = levels(of_sweep)
        if len(choices) < 2:
            continue
        title = name.replace("_", " ") + (f" on {bench}" if name in several else "")
        page = slug(f"{name}-{bench}" if name in several else name)
        metric = metrics.get(bench, METRIC)
        out.append(_study(ledger, (page, title, ""), choices, metric, rounds))
    return out


def levels(rows: Sequence[Row]) -> list[Choice]:
    """The levels of a sweep, named by what they set; the baseline first if rows say which."""
    found = by_level(rows)
    baseline = next((identity(r["sweep"]["baseline"]) for r in rows if r["sweep"]["baseline"]), "")
    names = short([of_level[0]["sweep"]["level"] for of_level in found.values()])
    choices = [
        (level != baseline, Choice(name, of_level))
        for name, (level, of_level) in zip(names, found.items(), strict=True)
    ]
    return [choice for _, choice in sorted(choices, key=lambda pair: pair[0])]


def slug(text: str) -> str:
    """A page's name or an anchor of any text."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "page"


def _study(
    ledger: Path,
    words: tuple[str, str, str],
    choices: list[Choice],
    metric: str,
    rounds: int,
    across: Sequence[str] = (),
) -> Study:
    bench = str(choices[0].rows[0]["bench"])
    try:
        tables = compare(ledger, choices, metric, across=across, rounds=rounds)
    except NotComparable as error:
        return Study(*words, bench, choices, [], str(error))
    return Study(*words, bench, choices, tables)
