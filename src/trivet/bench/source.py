"""Where a task comes from: a folder, the hub, or a generator."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from trivet.bench.task import Task


@runtime_checkable
class TaskSource(Protocol):
    """A dataclass under a bench's `tasks`; what makes its `load` is its config."""

    name: str
    """What the task is called. A name such as `cqadupstack/gis` is a part of `cqadupstack`."""

    def fingerprint(self) -> list[str]:
        """What identifies the data, for content keys; nothing large is read."""
        ...

    def load(self) -> Task:
        """Read or make everything, checked."""
        ...
