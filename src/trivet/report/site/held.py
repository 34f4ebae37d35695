"""Everything a site is made from: rows, manifests of the models, and the folders of runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trivet.bench.ledger import Ledger
from trivet.bench.manifests import kept_manifest, models
from trivet.core.artifact import MANIFEST
from trivet.core.errors import TrivetError
from trivet.core.files import read_json
from trivet.report.labels import distinct

Row = dict[str, Any]
Manifest = dict[str, Any]


@dataclass(frozen=True)
class RunFolder:
    """One execution, finished or going on: its stages' metrics by name, as they were logged."""

    name: str
    state: str  # finished, failed, interrupted, or running where no end was written
    config: dict[str, Any]
    keys: list[str]  # of the artifacts that it made or found
    stages: dict[str, list[dict[str, float]]]


@dataclass(frozen=True)
class Held:
    """What was found."""

    ledger: Path
    rows: list[Row]
    manifests: dict[str, Manifest]
    runs: list[RunFolder]


def hold(ledger: Path, outputs: Sequence[Path] = ()) -> Held:
    """Read a ledger, and of output folders the runs and the manifests of artifacts."""
    rows = distinct(Ledger(ledger).read())
    found = {key: manifest for folder in outputs for key, manifest in _artifacts(folder)}
    manifests: dict[str, Manifest] = {}
    for key in dict.fromkeys(key for row in rows for _, key in models(row["retriever"])):
        manifest = kept_manifest(ledger, key) or found.get(key)
        if manifest is not None:
            manifests[key] = manifest
    runs = [run for folder in outputs for run in _runs(folder)]
    return Held(ledger, rows, manifests, runs)


def _artifacts(folder: Path) -> Iterator[tuple[str, Manifest]]:
    for path in sorted((folder / "artifacts").glob(f"[!.]*/{MANIFEST}")):
        manifest = _read(path)
        if isinstance(manifest.get("key"), str):
            yield manifest["key"], manifest


def _runs(folder: Path) -> Iterator[RunFolder]:
    for path in sorted((folder / "runs").glob("[!.]*/config.json")):
        run = path.parent
        done = _read(run / MANIFEST)
        stages = {lines.parent.name: _lines(lines) for lines in sorted(run.glob("*/metrics.jsonl"))}
        keys = [str(stage["key"]) for stage in done.get("stages") or []]
        yield RunFolder(run.name, str(done.get("state", "running")), _read(path), keys, stages)


def _read(path: Path) -> dict[str, Any]:
    """A JSON object, or nothing where there is none yet."""
    if not path.is_file():
        return {}
    try:
        held = read_json(path)
    except TrivetError:
        return {}
    return held if isinstance(held, dict) else {}


def _lines(path: Path) -> list[dict[str, float]]:
    """The whole lines of a file that may be written to at this moment."""
    out: list[dict[str, float]] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            held = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(held, dict) and isinstance(held.get("step"), int):
            out.append(held)
    return out
