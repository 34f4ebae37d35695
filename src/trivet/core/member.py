"""What a run knows of the sweep it belongs to; its ledger rows and its manifest carry it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Member:
    """One run of a sweep."""

    name: str
    """Of the ablation, or what is swept."""
    id: str
    """The sweep's folder: its name, and a hash of its runs."""
    folder: str
    """Where the sweep keeps what is known of its runs."""
    number: int
    """Which of them this is."""
    level: dict[str, Any]
    """What this run overrides, by its key, less the seed."""
    overrides: list[str]
    """The same as words, the seed among them."""
    baseline: dict[str, Any] | None = None
    """The level that the others are set against."""

    @property
    def row(self) -> dict[str, Any]:
        """What a ledger row and a run's manifest say."""
        return {
            "name": self.name,
            "id": self.id,
            "level": self.level,
            "overrides": self.overrides,
            "baseline": self.baseline,
        }
