"""A run: one execution and its folder, with the config, the log, the metrics and a manifest."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from trivet.core import ranks
from trivet.core.artifact import Artifact, Store
from trivet.core.card import write_card
from trivet.core.files import write_bytes, write_json
from trivet.core.lease import leased
from trivet.core.machine import Machine
from trivet.core.tracker import Tracker

Resume = Literal["auto", "never", "force"]
Judge = Callable[[str, int, dict[str, float]], None]  # stage, step, metrics
log = logging.getLogger("trivet")


@dataclass
class Run:
    """What every stage of one execution shares."""

    folder: Path
    name: str
    config: dict[str, Any]
    store: Store
    cache: Path
    machine: Machine
    tracker: Tracker
    resume: Resume = "auto"
    profile: bool = False
    patient: bool = False
    """Wait for another process at the same run to end, as a sweep does, rather than refuse."""
    sweep: dict[str, Any] | None = None
    """The sweep that it belongs to, for the manifest."""
    judge: Judge | None = None
    """Told of every metric; it may raise `Hopeless` to end the run."""
    stages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    @contextmanager
    def opened(self) -> Generator[Run]:
        """Hold the folder alone, write the config, log to log.txt, and close all at the end.

        Of several ranks the first does so.
        """
        if not ranks.first():
            yield self
            return
        wait = math.inf if self.patient else 0.0
        with leased(self.folder / ".lock", wait=wait, what="this run's folder"):
            write_json(self.folder / "config.json", self.config)
            handler = logging.FileHandler(self.folder / "log.txt", encoding="utf-8")
            handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
            log.addHandler(handler)
            self.tracker.open(self.folder, self.name, self.config)
            try:
                yield self
            finally:
                self.tracker.close()
                log.removeHandler(handler)
                handler.close()

    def finish(self, state: str) -> None:
        """Write the run's manifest: which artifacts it made or found, and how it ended."""
        if not ranks.first():
            return
        manifest: dict[str, Any] = {"name": self.name, "state": state, "stages": self.stages}
        if self.sweep is not None:
            manifest["sweep"] = self.sweep
        write_json(self.folder / "manifest.json", manifest)


@dataclass
class Work:
    """One stage of a run at work: its key, its folder for checkpoints, its place in the store."""

    run: Run
    stage: str
    key: str
    describe: dict[str, Any]
    """What the pipeline knows of the stage; it becomes part of the artifact's manifest."""
    again: bool = False
    """A finished training is done again, not found again."""

    @property
    def folder(self) -> Path:
        """Where checkpoints and metrics of this stage lie while it is in the making."""
        return self.run.folder / self.stage

    @property
    def metrics(self) -> Path:
        """The stage's metrics, one JSON object a line."""
        return self.folder / "metrics.jsonl"

    def log(self, step: int, metrics: dict[str, float], to: str = "metrics") -> None:
        """Append one line of metrics and pass it to the tracker.

        What a clock says goes to a file of its own: metrics are the same however often a run stops.
        """
        if not ranks.first():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{to}.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": step, **metrics}, sort_keys=True) + "\n")
        self.run.tracker.log({f"{self.stage}/{k}": v for k, v in metrics.items()}, step)

    def last(self) -> dict[str, float]:
        """The last value of every metric; empty on a rank that keeps no log."""
        if not (ranks.first() and self.metrics.is_file()):
            return {}
        lines = self.metrics.read_text(encoding="utf-8").splitlines()
        found = {name: value for line in lines for name, value in json.loads(line).items()}
        return {name: value for name, value in found.items() if name not in ("step", "lr")}

    def forget_after(self, step: int) -> None:
        """Drop the lines of metrics and speed that a resumed run will log again."""
        for path in (self.metrics, self.metrics.with_stem("speed")):
            if ranks.first() and path.is_file():
                lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
                kept = [line for line in lines if line.endswith("\n") and _step(line) <= step]
                aside = path.with_suffix(".part")
                write_bytes(aside, "".join(kept).encode())
                aside.replace(path)

    def save(self, write: Callable[[Path], None], facts: dict[str, Any]) -> Artifact:
        """Finish the stage: its output becomes an artifact; the facts go into manifest and card."""
        manifest = {**self.describe, **facts}

        def whole(folder: Path) -> None:
            write(folder)
            write_card(folder, {**manifest, "stage": self.stage, "key": self.key})

        if ranks.first():
            self.run.store.make(self.stage, self.key, whole, manifest)
        ranks.wait()
        return Artifact.open(self.run.store.place(self.stage, self.key), verify=False)


def _step(line: str) -> int:
    return int(json.loads(line)["step"])
