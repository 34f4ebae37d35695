"""What a model was trained on, its parents' data included."""

from __future__ import annotations

from typing import Any

from trivet.core.artifact import Artifact
from trivet.data.table import Table


def lineage(parent: Artifact, tables: list[Table], report: dict[str, Any] | None) -> dict[str, Any]:
    """What a manifest says of a stage's data: `report` is that of decontamination.

    What a parent has seen, its children have: a bench stays in-domain for ever.
    """
    before, names = parent.manifest.get("trained_on"), [table.name for table in tables]
    in_domain = set(parent.manifest.get("in_domain", [])) | set((report or {}).get("in_domain", []))
    return {
        "trained_on": None if before is None else list(dict.fromkeys([*before, *names])),
        "rows": {table.name: len(table) for table in tables},
        "decontamination": report,
        "in_domain": sorted(in_domain),
    }
