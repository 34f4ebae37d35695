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
from trivet.report.site.sweeps import by_level, short

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
            sweep = str(row["sweep"].get("id") or row["sweep"]["name"])
            found.setdefault((sweep, row["bench"]), []).append(row)
    names = [str(of_sweep[0]["sweep"]["name"]) for of_sweep in found.values()]
    out: list[Study] = []
    for name, ((sweep, bench), of_sweep) in zip(names, found.items(), strict=True):
        choices = levels(of_sweep)
        if len(choices) < 2:
            continue
        alone = names.count(name) == 1
        title = name.replace("_", " ") + ("" if alone else f" on {bench} ({sweep})")
        page = slug(name if alone else f"{sweep}-{bench}")
        metric = metrics.get(bench, METRIC)
        out.append(_study(ledger, (page, title, ""), choices, metric, rounds))
    return out


def levels(rows: Sequence[Row]) -> list[Choice]:
    """The levels of a sweep, named by what they set; the baseline first, if rows say which.

    A baseline names the settings that make it one; what all levels set alike it leaves out.
    """
    found = by_level(rows)
    baseline: dict[str, Any] = next((r["sweep"]["baseline"] for r in rows), None) or {}
    settings = [of_level[0]["sweep"]["level"] for of_level in found.values()]
    choices = [
        (any(str(level.get(k)) != str(v) for k, v in baseline.items()), Choice(name, of_level))
        for name, level, of_level in zip(short(settings), settings, found.values(), strict=True)
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
