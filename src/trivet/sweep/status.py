"""How far a sweep is, as a table."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from trivet.core.errors import TrivetError
from trivet.core.files import read_json
from trivet.sweep.baseline import is_baseline
from trivet.sweep.record import Record, Status, Sweep


def table(sweep: Sweep) -> list[str]:
    """One line a run: number, state, how far, the last metric, what it overrides, why it ended."""
    rows: list[list[str]] = []
    awaited = sweep.awaited()
    for record in sweep.records():
        status = _seen(record, awaited)
        member, (far, metric) = record.member, progress(record)
        overrides = " ".join(member["overrides"])
        base = " (baseline)" if is_baseline(member["level"], member["baseline"]) else ""
        rows.append(
            [record.folder.name, status.state, far, metric, _seconds(status), overrides + base]
        )
        if status.reason:
            rows[-1][-1] += f": {status.reason}"
    head = ["run", "state", "progress", "last", "time", "what"]
    return [f"{sweep.id}: {_counted(row[1] for row in rows)}", *_aligned([head, *rows])]


def summary(sweep: Sweep) -> str:
    """How many runs there are in each state."""
    awaited = sweep.awaited()
    return _counted(_seen(record, awaited).state for record in sweep.records())


def _counted(states: Iterable[str]) -> str:
    counts = Counter(states)
    said = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    total = counts.total()
    return f"{total} run{'s' if total != 1 else ''}, {said}" if total else "no runs"


def listed(root: Path) -> list[str]:
    """All sweeps of a store."""
    out: list[str] = []
    for path in sorted(root.glob("*/sweep.json")):
        sweep = Sweep.open(path.parent)
        out.append(f"{sweep.id}: {summary(sweep)}")
    return out or [f"no sweeps in {root}"]


def _seen(record: Record, awaited: bool) -> Status:
    """A run's state; what is queued and waits for nobody is lost."""
    status = record.status()
    if status.state == "queued" and not awaited:
        status.state, status.reason = "lost", status.reason or "nobody is left to begin it"
    return status


def progress(record: Record) -> tuple[str, str]:
    """Stage and step of its steps, and the last metric; what is finished says its objective."""
    value = record.result.get("objective")
    last = f"{value:.4f}" if isinstance(value, float) else ""
    where = record.folder / "where.json"
    try:
        run = Path(read_json(where)["run"]) if where.is_file() else None
    except TrivetError:  # it is being written
        run = None
    logs = sorted(run.glob("*/speed.jsonl"), key=lambda path: path.stat().st_mtime) if run else []
    if not logs:
        return "", last
    speed, metrics = _last(logs[-1]), _last(logs[-1].with_name("metrics.jsonl"))
    far = f"{logs[-1].parent.name} {speed.get('step', '?')}/{speed.get('of', '?')}"
    names = [name for name in metrics if name not in ("step", "lr")]
    return far, last or " ".join(f"{name} {metrics[name]:.4f}" for name in names[:1])


def _last(path: Path) -> dict[str, Any]:
    """The last whole line of a log."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    for line in reversed(lines[-2:]):
        try:
            return json.loads(line)
        except ValueError:  # it is being written
            continue
    return {}


def _seconds(status: Status) -> str:
    if status.began is None:
        return ""
    seconds = max(0.0, (status.ended or time.time()) - status.began)
    return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d}:{int(seconds % 60):02d}"


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
