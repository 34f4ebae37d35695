"""The manifests of measured models, kept beside the ledger: a row outlives its model's folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from trivet.core.artifact import MANIFEST
from trivet.core.errors import TrivetError
from trivet.core.files import read_json, write_json

FOLDER = "manifests"


def keep_manifests(folder: Path, retriever: Mapping[str, Any]) -> None:
    """Copy what the artifacts of a row's retriever say of themselves; of other models nothing."""
    for model, key in models(retriever):
        found = Path(model).expanduser() / MANIFEST
        kept = folder / FOLDER / f"{key[:16]}.json"
        if kept.is_file() or not found.is_file():
            continue
        manifest = read_json(found)
        if manifest.get("key") == key:
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_json(kept, {name: fact for name, fact in manifest.items() if name != "files"})


def kept_manifest(ledger: Path, key: str) -> dict[str, Any] | None:
    """What is kept of a model beside a ledger."""
    path = ledger.parent / FOLDER / f"{key[:16]}.json"
    if not path.is_file():
        return None
    manifest = read_json(path)
    if not isinstance(manifest, dict) or manifest.get("key") != key:
        raise TrivetError(f"is not the manifest of {key[:16]}", where=str(path))
    return cast("dict[str, Any]", manifest)


def models(retriever: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each learned model of a row's retriever, and its key; of a fusion those of its parts."""
    parts = retriever.get("parts")
    if isinstance(parts, Mapping):
        for part in cast("Mapping[str, Any]", parts).values():
            yield from models(part)
    elif isinstance(retriever.get("model_key"), str):
        yield str(retriever["model"]), str(retriever["model_key"])
