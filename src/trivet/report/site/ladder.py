"""The stage ladder: what each stage of a recipe adds to the one before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trivet.bench.significance import holm
from trivet.report.comparison import Line, compare
from trivet.report.selection import Choice, choose
from trivet.report.site.boards import METRIC, choices_of
from trivet.report.site.pages import Question
from trivet.report.site.slugs import slugs

Row = dict[str, Any]
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Ladder:
    """Stages in their order; a line's difference is that to the stage before it."""

    name: str
    title: str
    text: str
    bench: str
    metric: str
    choices: list[Choice]
    rungs: list[Line]
    beside: list[Line]
    tasks: dict[str, list[float]]  # each task's means, of all rungs and then of those beside
    notes: list[str]


def climbed(
    ledger: Path,
    rows: Sequence[Row],
    questions: Sequence[Question],
    metrics: Mapping[str, str],
    rounds: int,
) -> list[Ladder]:
    """The ladders that a file names."""
    out: list[Ladder] = []
    for one in questions:
        choices = choose(rows, [*one.rows, *one.beside], one.bench)
        metric = metrics.get(one.bench, METRIC)
        split = len(one.rows)
        out.append(_ladder(ledger, (one.name, one.title, one.text), choices, split, metric, rounds))
    return out


def found(
    ledger: Path,
    rows: Sequence[Row],
    manifests: Mapping[str, Manifest],
    metrics: Mapping[str, str],
    rounds: int,
) -> list[Ladder]:
    """The ladders that manifests tell: models of which the stages before were measured, too."""
    out: list[Ladder] = []
    for bench in dict.fromkeys(row["bench"] for row in rows):
        choices = choices_of([row for row in rows if row["bench"] == bench])
        for chain in _chains(choices, manifests):
            title = " → ".join(choice.name for choice in chain)
            name = f"stages-{bench}-{chain[-1].name}"
            metric = metrics.get(bench, METRIC)
            if all(metric in row["metrics"] for choice in chain for row in choice.rows):
                words = (name, title, "")
                out.append(_ladder(ledger, words, chain, len(chain), metric, rounds))
    pages = slugs([ladder.name for ladder in out])
    return [replace(ladder, name=page) for ladder, page in zip(out, pages, strict=True)]


def _chains(choices: Sequence[Choice], manifests: Mapping[str, Manifest]) -> list[list[Choice]]:
    """Choices by descent, two at least; a part of a longer chain is none."""
    of_key = {row["retriever"]["model_key"]: choice for choice in choices for row in choice.rows}
    chains: list[list[Choice]] = []
    for choice in choices:
        manifest = manifests.get(str(choice.rows[0]["retriever"]["model_key"]), {})
        keys = [str(one["key"]) for one in manifest.get("ancestors", [])]
        line = [of_key[key] for key in keys if key in of_key and of_key[key] is not choice]
        same = {row["retriever"]["kind"] for one in (*line, choice) for row in one.rows}
        if line and len(same) == 1:
            chains.append([*_by_name(line), choice])
    names = [[one.name for one in chain] for chain in chains]
    return [
        chain
        for chain, name in zip(chains, names, strict=True)
        if not any(name == other[: len(name)] and name != other for other in names)
    ]


def _by_name(line: list[Choice]) -> list[Choice]:
    return list({choice.name: choice for choice in line}.values())


def _ladder(
    ledger: Path,
    words: tuple[str, str, str],
    choices: list[Choice],
    split: int,
    metric: str,
    rounds: int,
) -> Ladder:
    across = ("k", "lengths", "prompts")
    whole = compare(ledger, choices, metric, across=across, rounds=rounds)
    rungs, beside = whole[-1].lines[:split], whole[-1].lines[split:]
    steps = [
        compare(ledger, [before, after], metric, across=across, rounds=rounds)[-1].lines[1].against
        for before, after in zip(choices[: split - 1], choices[1:split], strict=True)
    ]
    told = [step for step in steps if step is not None]
    corrected = holm([step.p for step in told])
    climbing = [
        replace(line, against=replace(step, p_holm=p))
        for line, step, p in zip(rungs[1:], told, corrected, strict=True)
    ]
    tasks = whole[:-1] if len(whole) > 1 else whole
    return Ladder(
        *words,
        bench=str(choices[0].rows[0]["bench"]),
        metric=metric,
        choices=choices,
        rungs=[replace(rungs[0], against=None), *climbing],
        beside=[replace(line, against=None) for line in beside],
        tasks={table.title: [line.mean for line in table.lines] for table in tasks},
        notes=whole[-1].notes,
    )
