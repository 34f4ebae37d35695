"""The rows that mining leaves, and how a recipe reads them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import zstandard

from trivet.core.artifact import Artifact
from trivet.core.errors import TrivetError
from trivet.data.columns import Columns
from trivet.data.sources import Source

ROWS = "rows.jsonl.zst"


def write_rows(folder: Path, rows: Iterable[dict[str, Any]], where: str, fix: str) -> int:
    """Stream rows into a folder and count them; that none is left is an error."""
    count = 0
    with (folder / ROWS).open("wb") as file:
        with zstandard.ZstdCompressor().stream_writer(file, closefd=False) as packed:
            for row in rows:
                packed.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
                count += 1
        file.flush()
        os.fsync(file.fileno())
    if count == 0:
        raise TrivetError("no row is left", where=where, fix=fix)
    return count


def origin(source: Source) -> dict[str, Any]:
    """What a manifest holds of the source that was mined."""
    return {"name": source.name, "in_domain": source.in_domain, "prompts": source.prompts}


def mined(artifact: Artifact) -> Source:
    """The rows of an artifact as a source, with the name and the prompts of the one mined."""
    facts = artifact.manifest
    if "columns" in facts:
        columns = Columns(**facts["columns"])
    else:
        negatives = ["negatives"] if facts["has_negatives"] else None
        columns = Columns(query="query", positive="positive", negatives=negatives)
    return Source(columns=columns, path=str((artifact.path / ROWS).resolve()), **facts["source"])


def data_lines(sources: Iterable[Source]) -> str:
    """A data config that trains on these sources."""
    lines = ["_target_: trivet.data.mixture.Mixture", "sources:"]
    for source in sources:
        lines += [
            "  - _target_: trivet.data.sources.Source",
            f"    name: {json.dumps(source.name)}",
            f"    path: {json.dumps(source.path)}",
            f"    columns: {json.dumps(source.columns.mapping())}",
        ]
        lines += [f"    prompts: {json.dumps(source.prompts)}"] if source.prompts else []
        lines += ["    in_domain: true"] if source.in_domain else []
    return "\n".join(lines)
