"""Where metrics go beside the run folder's own metrics.jsonl."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

log = logging.getLogger("trivet")


@runtime_checkable
class Tracker(Protocol):
    """Receives every metric that a run logs."""

    def open(self, folder: Path, name: str, config: dict[str, Any]) -> None:
        """A run begins."""
        ...

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Numbers at a step."""
        ...

    def close(self) -> None:
        """The run ends."""
        ...


@dataclass
class Jsonl:
    """Nothing beside metrics.jsonl, which every run writes."""

    def open(self, folder: Path, name: str, config: dict[str, Any]) -> None:
        """Nothing to open."""

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Nothing to send."""

    def close(self) -> None:
        """Nothing to close."""


@dataclass
class Wandb:
    """Weights & Biases. Without the package or a login the run goes on and says so."""

    project: str = "trivet"
    """The project the run appears under."""
    mode: Literal["online", "offline"] = "online"
    """`offline` writes to the run folder; `wandb sync` sends it later."""
    _run: Any = field(default=None, init=False, repr=False)

    def open(self, folder: Path, name: str, config: dict[str, Any]) -> None:
        """Start a wandb run in the run folder, or say why there is none."""
        try:
            import wandb
        except ImportError as error:
            log.warning(
                "wandb cannot be imported (%s): going on without; pip install 'trivet[wandb]'",
                error,
            )
            return
        try:
            if self.mode == "online" and not (os.environ.get("WANDB_API_KEY") or wandb.api.api_key):
                log.warning("wandb has no login: going on without it. Log in, or mode: offline")
                return
            self._run = wandb.init(
                project=self.project,
                name=name,
                config=config,
                dir=str(folder),
                mode=self.mode,
                **grouped(config),
            )
        except Exception as error:  # whatever a tracker does, the run goes on
            log.warning("wandb does not start (%s): going on without it", error)

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Send numbers."""
        if self._run is not None:
            try:
                self._run.log(metrics, step=step)
            except Exception as error:
                log.warning("wandb fails (%s): going on without it", error)
                self._run = None

    def close(self) -> None:
        """Finish the wandb run."""
        run, self._run = self._run, None
        if run is not None:
            try:
                run.finish()
            except Exception as error:
                log.warning("wandb does not finish (%s)", error)


def grouped(config: Mapping[str, Any]) -> dict[str, Any]:
    """Where a run stands among others, as in the report: a sweep, its level, and there the seeds.

    Without a sweep the recipe is the group. wandb takes 64 characters of a tag or a job's type.
    """
    recipe = str(config.get("name") or "run")
    sweep: Mapping[str, Any] = config.get("sweep") or {}
    level = [
        f"{re.split(r'[@.]', key)[0 if '@' in key else -1]}={value}"
        for key, value in (sweep.get("level") or {}).items()
    ]
    seed = config.get("seed")
    tags = [recipe, *level, *([f"seed={seed}"] if seed is not None else [])]
    return {
        "group": str(sweep.get("id") or sweep.get("name") or recipe)[:128],
        "job_type": (", ".join(level) or "train")[:64],
        "tags": list(dict.fromkeys(tag[:64] for tag in tags)),
    }


@dataclass
class Tensorboard:
    """TensorBoard event files in the run folder."""

    _writer: Any = field(default=None, init=False, repr=False)

    def open(self, folder: Path, name: str, config: dict[str, Any]) -> None:
        """Open an event file, or say why there is none."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            log.warning(
                "tensorboard cannot be imported (%s): going on without; "
                "pip install 'trivet[tensorboard]'",
                error,
            )
            return
        self._writer = SummaryWriter(str(folder / "tensorboard"))

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Write numbers."""
        if self._writer is not None:
            for name, value in metrics.items():
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
