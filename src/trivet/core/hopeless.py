"""When a run of a sweep is not worth finishing.

The median rule of Google Vizier (Golovin et al. 2017, https://doi.org/10.1145/3097983.3098043) in
its plainest form: a run ends if its value is worse than the median of the finished runs' values at
the same step.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from trivet.core.errors import ConfigError


@dataclass
class Hopeless:
    """The rule and its patience. It looks at the run's `objective`."""

    better: Literal["lower", "higher"] = "lower"
    """Which values of the objective are good: `lower` for a loss, `higher` for a dev metric."""
    least: int = 3
    """Finished runs that must have a value at the step."""
    after: int = 0
    """Steps that every run gets."""

    def __post_init__(self) -> None:
        """A median of something."""
        if self.least < 1:
            raise ConfigError("must be at least 1", where="least", fix="Set least=3")
        if self.after < 0:
            raise ConfigError("must not be negative", where="after")

    def says(self, step: int, value: float, finished: Sequence[float]) -> str:
        """Why to end the run, or nothing: `finished` are the others' values at the same step."""
        if step <= self.after or len(finished) < self.least:
            return ""
        median = statistics.median(finished)
        worse = value > median if self.better == "lower" else value < median
        if not worse:
            return ""
        return f"{value:.4g} at step {step}, and {len(finished)} finished runs had {median:.4g}"
