"""A comparison as a table, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from trivet.report.comparison import Comparison, Line
from trivet.report.ledger_table import without_marked
from trivet.report.render import Table, best_cells


def as_table(comparison: Comparison) -> Table:
    """Mean, interval, difference to the baseline, its interval, corrected p."""
    lines = comparison.lines
    means = without_marked([line.mean for line in lines], [line.in_domain for line in lines])
    return Table(
        comparison.title,
        [comparison.metric, "interval", "difference", "interval of difference", "p (Holm)"],
        [_cells(line) for line in lines],
        comparison.notes,
        best_cells({1: means}),
    )


def _cells(line: Line) -> list[str]:
    name = line.name + (" *" if line.in_domain else "")
    cells = [name, f"{line.mean:.4f}", _interval(line.interval)]
    if line.against is None:
        return [*cells, "", "", ""]
    mark = " †" if line.against.significant else ""
    difference = f"{line.against.difference:+.4f}{mark}"
    return [*cells, difference, _interval(line.against.interval), f"{line.against.p_holm:.4f}"]


def _interval(interval: tuple[float, float]) -> str:
    return f"[{interval[0]:.4f}, {interval[1]:.4f}]"


def as_json(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Everything, unrounded."""
    tables: list[dict[str, Any]] = []
    for comparison in comparisons:
        table = asdict(comparison)
        for line, entry in zip(comparison.lines, table["lines"], strict=True):
            if line.against is not None:
                entry["against"]["significant"] = line.against.significant
        tables.append(table)
    return {"baseline": comparisons[0].lines[0].name, "tables": tables}
