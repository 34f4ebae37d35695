"""How the runs of a sweep are started: by which of Hydra's launchers, and how many at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from trivet.core.errors import ConfigError

Launcher = Literal["basic", "joblib", "submitit_slurm", "ray"]


@dataclass
class Launch:
    """What a sweep's launcher is told. An element is what it starts: runs, on one node."""

    launcher: Launcher = "basic"
    """`basic` and `joblib` stay on this machine, `submitit_slurm` is an array job, `ray` tasks."""
    pack: int = 1
    """Runs of one element."""
    at_once: int = 1
    """Of an element's runs, so many at the same time: they share its GPU, or its CPUs."""
    max_parallel: int = 1
    """Elements at the same time, at most."""
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    """What else the launcher takes, such as `timeout_min` and `partition` for Slurm."""

    def __post_init__(self) -> None:
        """Something must be started."""
        for name in ("pack", "at_once", "max_parallel"):
            if getattr(self, name) < 1:
                raise ConfigError("must be at least 1", where=name, fix=f"Set {name}=1")

    def elements(self, runs: list[int]) -> list[list[int]]:
        """The runs of each element; `basic` has one, which works through all of them."""
        size = len(runs) if self.launcher == "basic" else self.pack
        return [runs[i : i + size] for i in range(0, len(runs), max(1, size))]

    @property
    def side_by_side(self) -> int:
        """Runs of one element at the same time."""
        return self.max_parallel if self.launcher == "basic" else self.at_once

    def settings(self, name: str) -> dict[str, Any]:
        """The launcher's own config: what all sweeps need, and the options."""
        own: dict[str, Any] = {}
        if self.launcher == "joblib":
            own = {"n_jobs": self.max_parallel}
        if self.launcher == "submitit_slurm":
            own = {"array_parallelism": self.max_parallel, "name": name}
        if self.launcher == "ray" and not self.options.get("ray", {}).get("init", {}).get(
            "address"
        ):
            own = {"ray": {"init": {"num_cpus": self.max_parallel}, "remote": {"num_cpus": 1}}}
        return _joined(own, self.options)


def _joined(own: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    out = {**own}
    for name, value in given.items():
        both = isinstance(value, dict) and isinstance(out.get(name), dict)
        out[name] = _joined(out[name], value) if both else value
    return out
