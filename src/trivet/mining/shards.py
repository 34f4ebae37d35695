"""Long work in shards, a file each: a killed run goes on at the shard where it stopped.

A shard's file is named with the checksum of its content; one whose bytes have changed is made
again. Several processes each take their share. What is in a shard does not depend on how many
processes there are, nor on how often they were stopped.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import zstandard

from trivet.core.artifact import Artifact, Store
from trivet.core.errors import TrivetError
from trivet.core.files import write_bytes
from trivet.core.lock import only_one
from trivet.core.progress import Progress
from trivet.core.ranks import gather, rank, wait, world

log = logging.getLogger("trivet")
Facts = dict[str, Any]


def find(store: Store, kind: str, key: str) -> Artifact | None:
    """The finished artifact, checked by the first process alone."""
    found = store.find(kind, key) if rank() == 0 else None
    if not gather(found is not None)[0]:
        return None
    return found or Artifact.open(store.place(kind, key), verify=False)


def make(
    store: Store,
    kind: str,
    key: str,
    work: Callable[[Shards], None],
    write: Callable[[Path, Shards], Facts],
) -> Artifact:
    """Do the work in shards, then `write` the artifact of them; it gives the manifest's facts."""
    place = store.place(kind, key)
    shards = Shards(place.with_name(f".{place.name}.shards"))
    first = rank() == 0
    with only_one(shards.folder / ".lock", what=f"this {kind}") if first else nullcontext():
        if first:
            shards.sweep()
        wait()
        work(shards)
        if first:
            facts: Facts = {}
            store.make(kind, key, lambda folder: facts.update(write(folder, shards)), facts)
            shutil.rmtree(shards.folder, ignore_errors=True)
        wait()
    return Artifact.open(place, verify=False)


class Shards:
    """A folder of shards, each a JSON value, numbered."""

    def __init__(self, folder: Path) -> None:
        """Use a folder; it is made with the first shard."""
        self.folder = folder

    def sweep(self) -> None:
        """Remove what is damaged, and what a killed process left half-written."""
        for path in self.folder.glob(".*.part"):
            path.unlink(missing_ok=True)
        for path in self.folder.glob("[0-9]*.zst"):
            if path.name.split(".")[1] != _digest(path.read_bytes()):
                log.warning("%s: damaged, made again", path)
                path.unlink(missing_ok=True)

    def missing(self, numbers: Sequence[int]) -> list[int]:
        """Those that are not there, as the first process sees it."""
        return gather(sorted(set(numbers) - self._files().keys()))[0]

    def work(self, numbers: Sequence[int], one: Callable[[int], Any], what: str) -> None:
        """Make the shards that are missing, in turns: process r of w makes each w-th.

        `one` may wait for the other processes, so all of them are called equally often: where the
        last turn has too few shards, some make one that another makes too.
        """
        todo = self.missing(numbers)
        with Progress(what, len(todo), "shard") as progress:
            for start in range(0, len(todo), world()):
                number = todo[min(start + rank(), len(todo) - 1)]
                self._write(number, one(number))
                progress.add(min(world(), len(todo) - start))
        wait()

    def read(self, numbers: Sequence[int]) -> Iterator[Any]:
        """The values of shards, in order."""
        files = self._files()
        for number in numbers:
            if number not in files:
                fix = "Run again, in a folder that all processes see"
                raise TrivetError("not every shard is there", where=str(self.folder), fix=fix)
            yield json.loads(zstandard.decompress(files[number].read_bytes()))

    def _files(self) -> dict[int, Path]:
        return {int(path.name.split(".")[0]): path for path in self.folder.glob("[0-9]*.zst")}

    def _write(self, number: int, value: Any) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        data = zstandard.compress(json.dumps(value, allow_nan=False).encode())
        path = self.folder / f"{number:06d}.{_digest(data)}.zst"
        aside = self.folder / f".{path.name}.{os.getpid()}.part"
        try:
            write_bytes(aside, data)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
