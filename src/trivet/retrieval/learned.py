"""What every retriever with a trained model shares: its folder, its identity, its settings."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from trivet.core.artifact import MANIFEST, Artifact
from trivet.core.errors import ConfigError
from trivet.core.files import read_json
from trivet.core.hashing import json_digest, tree_digests
from trivet.core.hub import hub_model
from trivet.core.ranks import gather
from trivet.models.loading import vocabulary_files

SIDES = ("query", "document")


def model_folder(model: str, revision: str) -> Path:
    """A folder as it is; anything else is a hub id."""
    folder = Path(model).expanduser()
    return folder if folder.is_dir() else hub_model(model, revision)


def check_sides(lengths: dict[str, int], prompts: dict[str, str]) -> None:
    """Refuse sides that there are not, and lengths that hold nothing."""
    for name, given in (("lengths", lengths), ("prompts", prompts)):
        for side in given:
            if side not in SIDES:
                fix = "There is: query and document"
                raise ConfigError("no such side", where=f"{name}.{side}", fix=fix)
    if any(length < 1 for length in lengths.values()):
        raise ConfigError("must be at least 1", where="lengths")


def of_all(cut: int, total: int) -> tuple[int, int]:
    """Counts of this process' share of the texts, added up over all processes."""
    parts: list[tuple[int, int]] = gather((cut, total))
    return sum(part[0] for part in parts), sum(part[1] for part in parts)


def truncated_shares(counts: dict[str, tuple[int, int]]) -> dict[str, float]:
    """What a ledger row says of texts that were cut: `counts` is (cut, all) by side."""
    return {
        f"truncated_{side}_share": round(cut / max(1, total), 6)
        for side, (cut, total) in counts.items()
    }


def identity(folder: Path) -> dict[str, Any]:
    """What a ledger row says of a model: its key and size, and its training if that is known.

    An artifact that was changed since it was made is refused: its key would name another model.
    """
    size = {"parameters": parameters(folder)}
    if (folder / MANIFEST).is_file():
        manifest = read_json(folder / MANIFEST)
        if "files" in manifest:
            Artifact.open(folder)
        return {
            "model_key": manifest["key"],
            "in_domain": manifest.get("in_domain", []),
            "trained_on": manifest.get("trained_on", []),
            "train_seed": manifest.get("seed"),
            **size,
        }
    words = {path.name for path in vocabulary_files(folder)}
    digests = {
        name: digest
        for name, digest in tree_digests(folder).items()
        if name.endswith((".safetensors", "json")) or name in words
    }
    return {"model_key": json_digest(digests), "in_domain": [], "trained_on": None, **size}


def parameters(folder: Path) -> int | None:
    """How many numbers a model's weights are, in all its modules; None: none that can be read."""
    count = 0
    try:
        for path in sorted(folder.rglob("*.safetensors")):
            with safe_open(path, framework="np") as tensors:
                names: list[str] = list(tensors.keys())
                count += sum(math.prod(tensors.get_slice(name).get_shape()) for name in names)
    except SafetensorError:  # whoever loads the model says more
        return None
    return count or None
