"""Vectors are made once: kept by what made them, a shard a file.

An entry is named by the model's key, the texts' fingerprint, the side, its length and prompt and
the precision. A run that was killed goes on at the shard where it stopped; several processes each
make their share of the shards; a shard whose bytes have changed is made again.
"""

from __future__ import annotations

import fcntl
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from trivet.core.errors import ConfigError, TrivetError
from trivet.core.files import read_json, write_json
from trivet.core.hashing import json_digest
from trivet.core.mapped import is_sound
from trivet.core.places import cache_folder
from trivet.core.ranks import gather, rank, wait, world
from trivet.retrieval.vectors import Shard, Vectors

log = logging.getLogger("trivet")
_LAYOUT = 2  # raised when the same texts would be cut into other shards
Make = Callable[[list[int]], Iterable[Shard]]  # shard numbers to shards, in order
_FACTS = "entry.json"


@dataclass
class Cache:
    """Where vectors are kept, and how many of them."""

    use: bool = True
    """Whether to keep vectors at all."""
    folder: str | None = None
    """Where; null is `vectors` in trivet's cache folder ($TRIVET_CACHE)."""
    limit_gib: float = 50.0
    """What was not used for longest is removed when there is more than this."""
    _held: list[IO[str]] = field(default_factory=list[IO[str]], init=False, repr=False)

    def __post_init__(self) -> None:
        """A limit that holds something."""
        if self.limit_gib <= 0:
            raise ConfigError("must be above 0", where="limit_gib", fix="Or set use=false")

    @property
    def root(self) -> Path:
        """The folder of all entries."""
        return Path(self.folder).expanduser() if self.folder else cache_folder() / "vectors"

    def collect(self, key: dict[str, Any] | None, count: int, make: Make) -> Vectors:
        """`count` shards: those that are there, and the others, made and kept.

        Without a key (a model in training) nothing is kept.
        """
        if key is None or not self.use:
            if world() > 1:
                return Vectors(_shared(list(make(list(range(rank(), count, world()))))))
            return Vectors(list(make(list(range(count)))))
        folder = self.open(key)
        if folder is None:
            return Cache(use=False).collect(None, count, make)
        found = _sound(folder)
        mine = [i for i in range(rank(), count, world()) if i not in found]
        spilled = self._write(folder, mine, make)
        wait()
        found = _sound(folder, check=False)
        if world() > 1 and len(found) < count:
            fix = "Set cache.folder to one that all processes see"
            raise TrivetError("not every shard is there", where=str(folder), fix=fix)
        if rank() == 0:
            self._evict()
        return Vectors([spilled[i] if i in spilled else found[i] for i in range(count)])

    def open(self, key: dict[str, Any]) -> Path | None:
        """An entry's folder, made if need be, and held; None where it cannot be."""
        named = {name: value for name, value in key.items() if name != "model"}  # its key says it
        named["layout"] = _LAYOUT
        folder = self.root / json_digest(named)[:24]
        try:
            self._hold(folder, key)
        except OSError as error:
            log.warning("vectors are not kept: %s (%s)", folder, error.strerror)
            return None
        return folder

    def one(self, key: dict[str, Any], number: int, make: Callable[[], Shard]) -> Shard:
        """A shard of an entry that grows: the one of this number, or made and kept."""
        folder = self.open(key) if self.use else None
        if folder is None:
            return make()
        for path in folder.glob(f"{number:06d}.*.safetensors"):
            if is_sound(path):
                return Shard.load(path)
        made = make()
        self._write(folder, [number], lambda _: [made])
        return made

    def entries(self) -> Iterator[Entry]:
        """All entries, the one used last first."""
        folders = self.root.iterdir() if self.root.is_dir() else []
        found = [Entry.read(path) for path in folders if (path / _FACTS).is_file()]
        yield from sorted(found, key=lambda entry: -entry.used)

    def _hold(self, folder: Path, key: dict[str, Any]) -> None:
        """Make the entry's folder if need be, and hold it, so that no other run removes it."""
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / ".lock").open("a")
        fcntl.flock(stream, fcntl.LOCK_SH)
        self._held.append(stream)
        write_json(folder / _FACTS, key)  # its time says when the entry was used last

    def _write(self, folder: Path, numbers: list[int], make: Make) -> dict[int, Shard]:
        """Make shards and keep them; those that the disk has no room for are handed back."""
        spilled: dict[int, Shard] = {}
        for number, shard in zip(numbers, make(numbers), strict=True):
            if not spilled:
                try:
                    shard.save(folder, number)
                    continue
                except OSError as error:
                    if world() > 1:
                        what = f"a shard cannot be written ({error.strerror})"
                        raise TrivetError(what, where=str(folder)) from None
                    log.warning("vectors are kept in memory only: %s (%s)", folder, error.strerror)
            spilled[number] = shard
        return spilled

    def _evict(self) -> None:
        """Remove what was not used for longest, down to the limit."""
        entries = list(self.entries())
        total = sum(entry.size for entry in entries)
        for entry in reversed(entries):
            if total <= self.limit_gib * 2**30:
                return
            if entry.remove():
                total -= entry.size


@dataclass(frozen=True)
class Entry:
    """One set of vectors on disk."""

    path: Path
    facts: dict[str, Any]  # what made it
    size: int  # bytes
    used: float  # when, as seconds

    @classmethod
    def read(cls, path: Path) -> Entry:
        """What a folder holds."""
        size = sum(item.stat().st_size for item in path.iterdir())
        try:
            facts = read_json(path / _FACTS)
        except TrivetError:  # it can still be counted and removed
            facts = {"kind": "damaged"}
        if not isinstance(facts, dict):
            facts = {"kind": "damaged"}
        return cls(path, facts, size, (path / _FACTS).stat().st_mtime)

    def remove(self) -> bool:
        """Delete it, unless a run uses it."""
        with (self.path / ".lock").open("a") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False
            shutil.rmtree(self.path, ignore_errors=True)
        return True


def _sound(folder: Path, *, check: bool = True) -> dict[int, Path]:
    """The shards that are there by number; a damaged one is removed."""
    found: dict[int, Path] = {}
    for path in sorted(folder.glob("[0-9]*.safetensors")):
        if check and not is_sound(path):
            log.warning("%s: damaged, made again", path)
            path.unlink(missing_ok=True)
            continue
        found[int(path.name.split(".")[0])] = path
    return found


def _shared(mine: list[Shard]) -> list[Shard]:
    """The shards of all processes in order: shard i was made by process i modulo their number."""
    parts: list[list[Shard]] = gather(mine)
    longest = max(map(len, parts))
    return [part[i] for i in range(longest) for part in parts if i < len(part)]
