"""Ablations: each level against the baseline, on every task and over all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trivet.core.errors import NotComparable, TrivetError
from trivet.report.comparison import Comparison, compare
from trivet.report.selection import Choice, choose
from trivet.report.site.boards import METRIC
from trivet.report.site.pages import Question
from trivet.report.site.slugs import slugs
from trivet.report.sweeps import by_level, short

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
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        if row.get("sweep"):
            sweep = str(row["sweep"].get("id") or row["sweep"]["name"])
            found.setdefault((sweep, row["bench"], beside(row)), []).append(row)
    names = {(sweep, bench): of[0]["sweep"]["name"] for (sweep, bench, _), of in found.items()}
    parts = Counter((sweep, bench) for sweep, bench, _ in found)
    out: list[Study] = []
    for (sweep, bench, rest), of_sweep in found.items():
        choices = levels(of_sweep)
        if len(choices) < 2:
            continue
        name = str(names[sweep, bench])
        alone = list(names.values()).count(name) == 1
        also = f", {rest}" if parts[sweep, bench] > 1 else ""
        title = name.replace("_", " ") + also + ("" if alone else f" on {bench} ({sweep})")
        page = name + also if alone else f"{sweep}-{bench}{also}"
        metric = metrics.get(bench, METRIC)
        alike, told = _same_seeds(choices)
        words = (page, title, told)
        if alike:
            out.append(_study(ledger, words, alike, metric, rounds))
        else:
            out.append(Study(*words, bench, choices, [], "no seed was measured at every level"))
    pages = slugs([study.name for study in out])
    return [replace(study, name=page) for study, page in zip(out, pages, strict=True)]


def _same_seeds(choices: Sequence[Choice]) -> tuple[list[Choice], str]:
    """Levels with the seeds that all of them have, and what that leaves out; no common seed: none.

    A level that has lost a seed must not be better for that.
    """
    seeds = {choice.name: {row["seed"] for row in choice.rows} for choice in choices}
    common, every = set.intersection(*seeds.values()), set.union(*seeds.values())
    if common == every:
        return list(choices), ""
    lacking = [
        f"{name} lacks {', '.join(map(str, sorted(every - own, key=str)))}"
        for name, own in seeds.items()
        if own != every
    ]
    told = f"Only seeds that every level has are compared here: {'; '.join(lacking)}."
    alike = [
        Choice(choice.name, [row for row in choice.rows if row["seed"] in common])
        for choice in choices
        if common
    ]
    return alike, told


def beside(row: Row) -> str:
    """What a level sets and its baseline does not name: only levels alike in it are compared."""
    level, baseline = row["sweep"]["level"], row["sweep"]["baseline"]
    rest = {key: value for key, value in level.items() if baseline and key not in baseline}
    return ", ".join(f"{key}={value}" for key, value in sorted(rest.items()))


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
