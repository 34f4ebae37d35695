"""What the pipeline asks of a stage."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, runtime_checkable

from trivet.core.artifact import Artifact
from trivet.core.run import Work


@runtime_checkable
class Stage(Protocol):
    """One step of the recipe: a dataclass that holds its config and does its work.

    `version` is raised by hand whenever the code changes what the same config produces; a golden
    test notices when that was forgotten.
    """

    version: ClassVar[int]
    seed: int
    fit: Any  # training.settings.Fit, or None where nothing is trained

    def accept(self, has_parent: bool) -> None:
        """Refuse a place in the pipeline that cannot work, before anything runs."""
        ...

    def run(self, parent: Artifact | None, work: Work) -> Artifact:
        """Make the artifact."""
        ...
