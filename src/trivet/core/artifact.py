"""Artifacts: finished, immutable output folders, named by what made them.

An artifact's key is a hash of everything that decides its bytes: the stage's config less what
cannot change a result, the stage's version, its parents' keys and the fingerprints of its data.
Done means that the manifest is there; it is written last, inside a folder that gets its name in one
atomic step, so a half-written artifact cannot be found. A model's card may be edited afterwards:
nothing is read from it, so it is not among the files that must stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trivet.core.errors import ArtifactError, TrivetError
from trivet.core.files import read_json, whole_folder, write_json
from trivet.core.hashing import file_digest, json_digest, tree_digests
from trivet.core.remote import Remote

MANIFEST = "manifest.json"
CARD = "README.md"


@dataclass(frozen=True)
class Artifact:
    """A finished folder and the manifest that says how it came to be."""

    path: Path
    manifest: dict[str, Any]

    @property
    def key(self) -> str:
        """The content key."""
        return str(self.manifest["key"])

    @property
    def stage(self) -> str:
        """The stage that made it."""
        return str(self.manifest["stage"])

    @classmethod
    def open(cls, path: Path, *, verify: bool = True) -> Artifact:
        """Read a finished artifact; refuse a folder that is unfinished or was changed since."""
        if not (path / MANIFEST).is_file():
            raise ArtifactError("no manifest.json: not a finished artifact", where=str(path))
        manifest = read_json(path / MANIFEST)
        if not isinstance(manifest, dict) or not {"key", "stage", "files"} <= manifest.keys():
            raise ArtifactError("manifest.json is not an artifact's manifest", where=str(path))
        if verify:
            for name, digest in manifest["files"].items():
                if not (path / name).is_file() or file_digest(path / name) != digest:
                    fix = f"Make it again; without {MANIFEST} it is another model"
                    raise ArtifactError(
                        f"{name} is missing or was changed", where=str(path), fix=fix
                    )
        return cls(path, manifest)


def checked_digest(path: Path, fix: str) -> str:
    """The sha256 of a file, which must be the one that an artifact's manifest beside it names."""
    digest = file_digest(path)
    try:
        files = Artifact.open(path.parent, verify=False).manifest["files"]
    except TrivetError:  # no manifest, or one of another tool
        return digest
    if isinstance(files, dict) and files.get(path.name, digest) != digest:
        what = f"was changed: {MANIFEST} beside it names another sha256"
        raise ArtifactError(what, where=str(path), fix=fix)
    return digest


def artifact_key(stage: str, version: int, config: Any, parents: Sequence[str]) -> str:
    """The name of what a stage will make, known before it is made.

    `config` is the stage's `content`, which holds the fingerprints of the data that it reads.
    """
    return json_digest(
        {"stage": stage, "version": version, "config": config, "parents": list(parents)}
    )


class Store:
    """The folder that holds all artifacts, each under its stage's name and its key."""

    def __init__(self, root: Path, remote: Remote | None = None) -> None:
        """Use a folder; it is made when the first artifact is.

        With a remote place, what is missing here is looked for there, and what is made goes there.
        """
        self.root, self.remote = root, remote

    def place(self, stage: str, key: str) -> Path:
        """Where an artifact lies, or will."""
        return self.root / f"{stage}-{key[:16]}"

    def find(self, stage: str, key: str, *, verify: bool = True) -> Artifact | None:
        """The finished artifact of that key, or None."""
        path = self.place(stage, key)
        if not (path / MANIFEST).is_file() and not (self.remote and self.remote.pull(path)):
            return None
        artifact = Artifact.open(path, verify=verify)
        if artifact.key != key:
            raise ArtifactError(
                f"holds key {artifact.key[:16]}…, not the one in its name", where=str(path)
            )
        return artifact

    def make(
        self, stage: str, key: str, write: Callable[[Path], None], manifest: dict[str, Any]
    ) -> Artifact:
        """Write an artifact whole, the manifest last, and give it its name."""
        path = self.place(stage, key)
        with whole_folder(path) as aside:
            write(aside)
            files = tree_digests(aside, skip=[CARD])
            write_json(aside / MANIFEST, {**manifest, "stage": stage, "key": key, "files": files})
        if self.remote is not None:
            self.remote.push(path, last=MANIFEST)
        return Artifact.open(path, verify=False)
