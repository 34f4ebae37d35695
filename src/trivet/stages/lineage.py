"""What a model was trained on and where that came from, its parents' stages included."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from trivet.core.artifact import Artifact
from trivet.core.schema import keyed
from trivet.data.table import Table

_NOT_HANDED_ON = {"files", "hardware", "libraries", "git", "ancestors"}


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


def ancestors(parent: Artifact | None) -> list[dict[str, Any]]:
    """What a manifest says of the stages before it, the first one first."""
    if parent is None:
        return []
    kept = {name: fact for name, fact in parent.manifest.items() if name not in _NOT_HANDED_ON}
    return [*parent.manifest.get("ancestors", []), kept]


def origins(config: Any) -> dict[str, dict[str, str]]:
    """The hub ids and packages in a stage's config, by their place in it.

    No content key holds them, so the manifest would not say where data and models came from.
    Folders are left out: they mean nothing elsewhere.
    """
    return dict(_origins(config, ""))


def _origins(value: Any, where: str) -> Iterator[tuple[str, dict[str, str]]]:
    parts: dict[str, Any] = {}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        found = _origin(value)
        if found:
            yield where, found
        parts = keyed(value)
    elif isinstance(value, Mapping):
        parts = {str(key): part for key, part in cast("Mapping[Any, Any]", value).items()}
    elif isinstance(value, list):
        parts = {str(i): part for i, part in enumerate(cast("list[Any]", value))}
    for name, part in parts.items():
        yield from _origins(part, f"{where}.{name}" if where else name)


def _origin(value: Any) -> dict[str, str]:
    """A dataset or model on the hub, or in a package; of a `model` that is no folder, its id."""
    hub, package = getattr(value, "hub", None), getattr(value, "package", None)
    model = getattr(value, "model", None) if hasattr(value, "revision") else None
    if isinstance(model, str) and not Path(model).expanduser().exists():
        hub, package = (None, model) if ":" in model else (model, None)
    if isinstance(package, str):
        return {"package": package}
    if not isinstance(hub, str):
        return {}
    named = {name: getattr(value, name, None) for name in ("subset", "revision")}
    return {"hub": hub, **{name: said for name, said in named.items() if isinstance(said, str)}}
