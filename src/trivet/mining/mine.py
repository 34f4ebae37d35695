"""The whole of `trivet mine`: each source mined on its own, within its own documents."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

from trivet.core.artifact import Artifact, Store
from trivet.core.errors import DataError
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

    def plan(self) -> list[tuple[str, str, str]]:
        """Of each source whether it is mined already, its name, and where the artifact will lie."""
        out: list[tuple[str, str, str]] = []
        for source in self.data.sources:
            try:
                key = self.mine.key(source)
            except DataError as error:  # what cannot be reached from here
                out.append(("run", source.name, f"no key yet: {error.where}: {error.what}"))
                continue
            found = self.store.find(self.mine.kind, key, verify=False)
            place = self.store.place(self.mine.kind, key)
            out.append(("reuse" if found else "run", source.name, str(place)))
        return out

    def run(self) -> list[Artifact]:
        """Mine source by source; what is finished is found, what was killed goes on."""
        return [self.mine.run(source, self.store) for source in self.data.sources]
