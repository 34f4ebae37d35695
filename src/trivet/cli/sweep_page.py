"""The page that a sweep ends in: its own rows as a site, beside its record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trivet.core.files import read_json
from trivet.report.sweeps import by_level

if TYPE_CHECKING:
    from trivet.sweep.record import Sweep

_NAMED = 10  # runs that are missing, on the page


def sweep_page(sweep: Sweep) -> Path | None:
    """Write what the sweep's rows say, of all ledgers that its runs wrote to the last one.

    None where no run was measured.
    """
    from trivet.report.site.findings import findings
    from trivet.report.site.held import hold
    from trivet.report.site.pages import Pages
    from trivet.report.site.site import write

    ledgers: list[str] = []
    runs: set[str] = set()
    for record in sweep.records():
        result, where = record.folder / "result.json", record.folder / "where.json"
        if result.is_file() and (ledger := read_json(result).get("ledger")):
            ledgers.append(ledger)
        if where.is_file():
            runs.add(Path(read_json(where)["run"]).name)
    if not ledgers:
        return None
    held = hold(Path(ledgers[-1]), [sweep.folder.parent.parent])
    rows = [row for row in held.rows if (row.get("sweep") or {}).get("id") == sweep.id]
    if not rows:
        return None
    own = replace(held, rows=rows, runs=[run for run in held.runs if run.name in runs])
    pages, out = Pages(title=sweep.id, text=told(sweep, rows)), sweep.folder / "site"
    write(out, own, pages, findings(own, pages))
    return out / "index.html"


def told(sweep: Sweep, rows: Sequence[dict[str, Any]]) -> str:
    """How the runs ended, which of them are missing and why, and whether levels can be compared."""
    from trivet.sweep.status import summary

    missing: list[str] = []
    for record in sweep.records():
        status = record.status()
        if status.state != "finished":
            why = f", {status.reason}" if status.reason else ""
            what = " ".join(record.member["overrides"])
            missing.append(f"Run {record.folder.name} ({what}): {status.state}{why}.")
    lines = [f"{summary(sweep)}. Begun with: {sweep.facts['command']}.", *missing[:_NAMED]]
    if missing[_NAMED:]:
        lines.append(f"And {len(missing) - _NAMED} more: trivet sweep status {sweep.id}.")
    if len(by_level(rows)) < 2:
        lines.append("One level was measured, so nothing is set against it.")
    return " ".join(lines)
