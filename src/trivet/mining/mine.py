"""The whole of `trivet mine`: each source mined on its own, within its own documents."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

from trivet.core.artifact import Artifact, Store
from trivet.core.machine import Machine
from trivet.data.mixture import Mixture
from trivet.data.sources import Source
from trivet.retrieval.cache import Cache


class Work(Protocol):
    """What is made of a source."""

    kind: ClassVar[str]
    version: ClassVar[int]

    def key(self, source: Source) -> str:
        """The name of what will be made."""
        ...

    def run(self, source: Source, store: Store, cache: Path | None = None) -> Artifact:
        """Make it, or find what was made before."""
        ...


@dataclass(kw_only=True)
class Mine:
    """The config of `trivet mine`."""

    data: Mixture
    """Pairs, from one source or many; their order counts for nothing."""
    mine: Work
    """What is made of each source."""
    out: str = "outputs"
    """Holds artifacts/."""
    machine: Machine = field(default_factory=Machine)
    """Where it runs; retrievers refer to it."""
    cache: Cache = field(default_factory=Cache)
    """Where vectors are kept; retrievers refer to it."""

    @property
    def store(self) -> Store:
        """The artifacts."""
        return Store(Path(self.out).expanduser() / "artifacts")

    def plan(self) -> dict[str, tuple[Path, bool]]:
        """Where each source's artifact will lie, and whether it lies there already."""
        out: dict[str, tuple[Path, bool]] = {}
        for source in self.data.sources:
            key = self.mine.key(source)
            found = self.store.find(self.mine.kind, key, verify=False)
            out[source.name] = (self.store.place(self.mine.kind, key), found is not None)
        return out

    def run(self) -> list[Artifact]:
        """Mine source by source; what is finished is found, what was killed goes on."""
        return [self.mine.run(source, self.store) for source in self.data.sources]
