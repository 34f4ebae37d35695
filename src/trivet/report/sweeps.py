"""What rows say of the sweep that their model is of: its levels, in few words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = dict[str, Any]


def short(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Levels in few words: the keys that differ, by their last part where that is enough."""
    keys = list(dict.fromkeys(key for level in found for key in level))
    differing = [key for key in keys if len({identity(level.get(key)) for level in found}) > 1]
    ends = {key: re.split(r"[@.]", key)[0 if "@" in key else -1] for key in differing}
    told = {key: end if list(ends.values()).count(end) == 1 else key for key, end in ends.items()}
    return [
        ", ".join(f"{told[key]}={level[key]}" for key in differing if key in level) or "as it is"
        for level in found
    ]


def by_level(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows of one level together, in the order that levels first came."""
    out: dict[str, list[Row]] = {}
    for row in rows:
        out.setdefault(identity(row["sweep"]["level"]), []).append(row)
    return out


def told_apart(rows: Sequence[Row]) -> list[Row]:
    """The rows; of a sweep's label that several levels share, each has what it sets behind it.

    So have several sweeps, which may differ in what none of them sweeps.
    """
    labels: dict[str, list[Row]] = {}
    for row in rows:
        if row.get("sweep"):
            labels.setdefault(row["label"], []).append(row)
    names: dict[str, str] = {}
    for label, of_label in labels.items():
        sweeps = {str(row["sweep"].get("id")) for row in of_label}
        levels = list(by_level(of_label).values())
        words = short([one[0]["sweep"]["level"] for one in levels])
        for said, level in zip(words, levels, strict=True):
            for row in level:
                told = [said] if len(levels) > 1 else []
                told += [str(row["sweep"].get("id"))] if len(sweeps) > 1 else []
                names[row["id"]] = f"{label} ({'; '.join(told)})" if told else label
    return [{**row, "label": names[row["id"]]} if row.get("sweep") else row for row in rows]


def identity(value: Any) -> str:
    """Equal for equal values."""
    return json.dumps(value, sort_keys=True, default=str)
