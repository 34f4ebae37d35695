"""Rows of the ledger side by side, with published figures below and marked as such."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trivet.bench.table import table
from trivet.core.errors import TrivetError, nearest
from trivet.report.references import references


def latest(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last row of each label on each task, in the order they first came."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        found[(row["task"], row["label"])] = row
    return list(found.values())


def compare(
    rows: Sequence[dict[str, Any]],
    metrics: Sequence[str],
    *,
    share_of: str | None = None,
    published: bool = False,
) -> str:
    """A table for each task. `share_of` names the label whose first metric is 100%."""
    rows = latest(rows)
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    return "\n\n".join(
        _one([row for row in rows if row["task"] == task], task, metrics, share_of, published)
        for task in tasks
    )


def _one(
    rows: list[dict[str, Any]],
    task: str,
    metrics: Sequence[str],
    share_of: str | None,
    published: bool,
) -> str:
    for metric in metrics:
        if metric not in rows[0]["metrics"]:
            fix = nearest(metric, rows[0]["metrics"])
            raise TrivetError(f"{metric} was not measured", where=task, fix=fix)
    whole = None
    if share_of is not None:
        labels = {row["label"]: row["metrics"][metrics[0]] for row in rows}
        if share_of not in labels:
            raise TrivetError(f"no row {share_of}", where=task, fix=nearest(share_of, labels))
        whole = labels[share_of]
    headers = [task, *metrics, *([f"of {share_of}"] if whole else [])]
    cells = [
        [row["label"] + (" *" if row["in_domain"] else "")]
        + [f"{row['metrics'][name]:.4f}" for name in metrics]
        + ([f"{row['metrics'][metrics[0]] / whole:.1%}"] if whole else [])
        for row in rows
    ]
    out = [table(headers, cells)]
    if any(row["in_domain"] for row in rows):
        out.append(f"* trained on {task}'s own train split: not comparable with zero-shot rows")
    known = references({task}) if published else []
    if known:
        names = [metric for metric in metrics if any(metric in r.metrics for r in known)]
        lines = [
            [r.label, *(f"{r.metrics[n]:.3f}" if n in r.metrics else "" for n in names), r.source]
            for r in known
        ]
        out += ["", table([f"{task}, published elsewhere", *names, "source"], lines)]
    return "\n".join(out)
