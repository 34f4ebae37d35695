"""Rows that were measured with different settings never hide behind one label."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from trivet.report.sweeps import told_apart

Row = dict[str, Any]
# found while measuring, or told by the key and the data: no settings
_FOUND = {
    "model",
    "model_key",
    "parameters",
    "trained_on",
    "in_domain",
    "truncated_query_share",
    "truncated_document_share",
    "document_terms",
    "query_terms",
    "bytes_per_vector",
    "weights",
    "tuned_on",
    "recall",
    "train_seed",  # of a part: the row has its own
    "prompts",
    "lengths",
}


def distinct(rows: Iterable[Row]) -> list[Row]:
    """The rows, with the settings that tell them apart behind a label that several share.

    Only rows of one task are compared, so lengths and prompts that a bench gives are no difference.
    Seeds share a label on purpose, and so do two measurements of one setting. Levels of a sweep
    are told apart, and so are sweeps.
    """
    rows = told_apart(list(rows))
    differing: dict[str, list[str]] = {}
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["label"], row["bench"], row["task"]), []).append(row)
    for (label, *_), group in groups.items():
        known = differing.setdefault(label, [])
        known += [name for name in _differing(group) if name not in known]
    return [_named(row, differing[row["label"]]) for row in rows]


def _differing(rows: Sequence[Row]) -> list[str]:
    found: dict[str, set[str]] = {}
    for row in rows:
        for name, value in settings(row["retriever"]).items():
            found.setdefault(name, set()).add(repr(value))
    return [name for name, values in found.items() if len(values) > 1]


def _named(row: Row, names: list[str]) -> Row:
    own = settings(row["retriever"])
    told = ", ".join(f"{name}={own[name]}" for name in names if name in own)
    return {**row, "label": f"{row['label']} ({told})"} if told else row


def settings(retriever: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by their dotted names; `kind` first, for it explains the others."""
    out: dict[str, Any] = {}
    for name, value in sorted(retriever.items(), key=lambda item: (item[0] != "kind", item[0])):
        if name in _FOUND:
            continue
        if isinstance(value, dict):
            out |= settings(value, f"{prefix}{name}.")  # pyright: ignore[reportUnknownArgumentType]
        else:
            out[prefix + name] = value
    return out
