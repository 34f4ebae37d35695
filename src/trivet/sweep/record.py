"""What is known of a sweep: a folder in the store, so that it outlives the terminal that began it.

`sweep.json` says what was asked for; each run has a numbered folder with its config, its state, its
log and the lease of whoever is at work on it. Whoever asks, at any time and from any machine that
sees the folder, reads the same.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from trivet.core.errors import TrivetError, nearest
from trivet.core.files import read_json, write_json
from trivet.core.lease import PATIENCE, Holder, current, leased

State = Literal["queued", "running", "lost", "finished", "stopped", "failed", "cancelled"]
ENDED = ("finished", "stopped", "failed", "cancelled")


@dataclass
class Status:
    """How far a run is, as its state.json says."""

    state: State = "queued"
    reason: str = ""
    attempt: int = 0
    host: str = ""
    job: str = ""
    began: float | None = None
    ended: float | None = None


@dataclass(frozen=True)
class Record:
    """One run's folder."""

    folder: Path

    @property
    def number(self) -> int:
        """Its place in the sweep."""
        return int(self.folder.name)

    @property
    def config(self) -> Path:
        """The composed config that ranks read."""
        return self.folder / "config.json"

    @property
    def log(self) -> Path:
        """All that its processes said."""
        return self.folder / "log.txt"

    @property
    def member(self) -> dict[str, Any]:
        """What the config says of the sweep: level, overrides, baseline."""
        return read_json(self.config)["sweep"]

    @property
    def result(self) -> dict[str, Any]:
        """What the run left: its artifact, its metrics, the objective; empty until then."""
        path = self.folder / "result.json"
        return read_json(path) if path.is_file() else {}

    def status(self) -> Status:
        """What was written last; a run whose process is gone is lost."""
        path = self.folder / "state.json"
        status = Status(**read_json(path)) if path.is_file() else Status()
        if status.state == "running" and not self.held():
            status.state, status.reason = "lost", "its process is gone"
            holder = current(self.folder / "claim")
            status.ended = holder.touched if holder else status.began
        return status

    def forget(self) -> None:
        """Leave nothing of what came of it."""
        for name in ("state.json", "result.json", "where.json"):
            (self.folder / name).unlink(missing_ok=True)

    def held(self) -> bool:
        """Whether a living process is at work on it, here or elsewhere."""
        holder = current(self.folder / "claim")
        return holder is not None and living(holder)

    def claim(self) -> AbstractContextManager[None]:
        """Be the only one at work on it; waits no longer than the dead need to be known as such."""
        return leased(self.folder / "claim", wait=2 * PATIENCE, what=f"run {self.folder.name}")

    def write(self, status: Status) -> None:
        """Say how far it is."""
        write_json(self.folder / "state.json", asdict(status))

    def start(self) -> Status:
        """Begin once more."""
        status = self.status()
        now = Status("running", "", status.attempt + 1, socket.gethostname(), job(), time.time())
        self.write(now)
        return now


@dataclass(frozen=True)
class Sweep:
    """A sweep's folder."""

    folder: Path
    facts: dict[str, Any] = field(repr=False)

    @property
    def id(self) -> str:
        """Its name and the hash of what was asked for."""
        return self.folder.name

    @classmethod
    def open(cls, folder: Path) -> Sweep:
        """One that was begun before."""
        return cls(folder, read_json(folder / "sweep.json"))

    @classmethod
    def begin(cls, folder: Path, facts: dict[str, Any]) -> Sweep:
        """A new one, or the same one again; a request to cancel it is forgotten."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "sweep.json", facts)
        (folder / "cancel").unlink(missing_ok=True)
        return cls(folder, facts)

    def records(self) -> list[Record]:
        """Its runs, by number."""
        found = sorted(self.folder.glob("[0-9][0-9][0-9][0-9]"))
        return [Record(path) for path in found if (path / "config.json").is_file()]

    def record(self, number: int) -> Record:
        """A run's folder, there or not."""
        return Record(self.folder / f"{number:04d}")

    @contextmanager
    def attended(self) -> Generator[None]:
        """Within the block this process is at hand to begin what is queued."""
        path = self.folder / f"submitter-{uuid4().hex[:8]}"
        try:
            with leased(path, what=self.id):
                yield
        finally:
            for file in self.folder.glob(f"{path.name}.*.lock"):
                file.unlink(missing_ok=True)

    def awaited(self) -> bool:
        """Whether anyone is at hand to begin what is queued, as far as can be seen from here."""
        submitters = {path.name.partition(".")[0] for path in self.folder.glob("submitter-*.lock")}
        holders = [current(self.folder / name) for name in submitters]
        if any(holder and living(holder) for holder in holders):
            return True
        if any(record.held() for record in self.records()):
            return True
        return self.in_slurms_queue() is not False if self._by_slurm() else False

    def _by_slurm(self) -> bool:
        launch = self.facts.get("machine", {}).get("launch") or {}
        return launch.get("launcher") == "submitit_slurm"

    def in_slurms_queue(self) -> bool | None:
        """Whether Slurm has an element of it, waiting or at work; None where nobody can say."""
        if shutil.which("squeue") is None:
            return None
        asked = ["squeue", "--noheader", "--name", self.id, "--format", "%i"]
        found = subprocess.run(asked, capture_output=True, text=True)
        return bool(found.stdout.strip()) if found.returncode == 0 else None

    def cancel(self) -> None:
        """Ask all that are at work to stop, and all that are queued not to begin."""
        (self.folder / "cancel").touch()

    @property
    def cancelled(self) -> bool:
        """Whether that was asked."""
        return (self.folder / "cancel").exists()


def living(holder: Holder) -> bool:
    """Whether a lease is held by a process that lives, as far as can be seen from here."""
    silent = time.time() - holder.touched > 2 * PATIENCE
    return not (holder.free or holder.dead or silent)


def find(root: Path, name: str) -> Sweep:
    """A sweep by its id, or the start of it."""
    known = sorted(path.parent.name for path in root.glob("*/sweep.json"))
    found = [one for one in known if one == name] or [one for one in known if one.startswith(name)]
    if len(found) != 1:
        what = f"several sweeps begin with {name}" if found else f"no sweep {name}"
        raise TrivetError(what, where=str(root), fix=nearest(name, found or known))
    return Sweep.open(root / found[0])


def job() -> str:
    """The scheduler's name of what this process belongs to, if there is one."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array else os.environ.get("SLURM_JOB_ID", "")
