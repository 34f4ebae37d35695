"""What a run begins with where `parent` says so: an artifact, or a model of another library."""

from __future__ import annotations

import re
from pathlib import Path

from trivet.core.artifact import MANIFEST, Artifact
from trivet.core.errors import ArtifactError
from trivet.core.hub import hub_model
from trivet.retrieval.learned import identity

_HUB = re.compile(r"[\w.-]+/[\w.-]+")


def open_parent(named: str) -> Artifact:
    """A folder or a hub id; a model without a manifest is known by its files, not by its making.

    Such a model must be in the layout of sentence-transformers, as PyLate's are, too.
    """
    folder = Path(named).expanduser()
    if not folder.exists() and _HUB.fullmatch(named) and not folder.parent.exists():
        folder = hub_model(named, "main")
    if (folder / MANIFEST).is_file():
        return Artifact.open(folder)
    if not (folder / "modules.json").is_file():
        what = f"neither {MANIFEST} nor modules.json: not an artifact, and no model of others"
        fix = "An encoder alone is a backbone: stages.start.backbone"
        raise ArtifactError(what, where=str(folder), fix=fix)
    facts = identity(folder)
    made = {"stage": "parent", "key": facts["model_key"], "files": {}}
    return Artifact(folder, made | {name: facts[name] for name in ("in_domain", "trained_on")})
