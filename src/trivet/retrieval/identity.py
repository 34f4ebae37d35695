"""Which model it was: what a ledger row says of a folder, whoever wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trivet.core.artifact import MANIFEST
from trivet.core.files import read_json
from trivet.core.hashing import json_digest, tree_digests


def identity(folder: Path) -> dict[str, Any]:
    """What a ledger row says of a model: its key, and what it was trained on if that is known."""
    if (folder / MANIFEST).is_file():
        manifest = read_json(folder / MANIFEST)
        return {
            "model_key": manifest["key"],
            "in_domain": manifest.get("in_domain", []),
            "trained_on": manifest.get("trained_on", []),
            "train_seed": manifest.get("seed"),
        }
    digests = {
        k: v for k, v in tree_digests(folder).items() if k.endswith((".safetensors", "json"))
    }
    return {"model_key": json_digest(digests), "in_domain": [], "trained_on": None}
