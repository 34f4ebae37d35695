"""Published figures, kept apart from measured ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trivet.core.files import read_json
from trivet.core.places import asset


@dataclass(frozen=True)
class Reference:
    """One published row, and where it was published."""

    task: str
    label: str
    metrics: dict[str, float]
    source: str


def references(tasks: set[str]) -> list[Reference]:
    """The published rows of these tasks."""
    rows: list[dict[str, Any]] = read_json(asset("references.json"))
    found = [Reference(**row) for row in rows]
    return [reference for reference in found if reference.task in tasks]
