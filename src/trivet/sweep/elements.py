"""Between Hydra's sweeper and Hydra's launcher: runs become records, and elements start them.

A sweeper hands over lists of overrides, one a run, and wants a number back for each. Here each is
composed once, written to the store, and left out if it is finished; elements of the rest are given
to the launcher. What came of them is read from the store, so that a launcher that lost an element
has not lost the others.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus

from trivet.core.errors import ConfigError, TrivetError
from trivet.core.files import read_json, write_json
from trivet.core.launching import Launch
from trivet.core.lease import leased
from trivet.core.schema import build
from trivet.sweep.element import spread
from trivet.sweep.record import ENDED, Record, Sweep

log = logging.getLogger("trivet")
Start = Callable[[list[list[str]]], None]
_SETTLED = ("finished", "stopped")  # nothing is left to do
_ELSEWHERE = ("machine", "tracker", "out", "cache", "resume", "sweep")  # how it is run, not what


@dataclass
class Elements:
    """A launcher, as a sweeper sees it."""

    sweep: Sweep
    swept: set[str]
    """The keys that differ between the runs."""
    compose: Callable[[list[str]], dict[str, Any]]
    """A run's whole config from its overrides."""
    start: Start
    """Gives elements to one of Hydra's launchers and waits for them."""
    launch_as: Launch
    strict: bool
    """Whether a run that failed is an error to the sweeper, which would end a grid there."""
    preview: bool = False
    """Only look: `planned` then holds each run's overrides and config."""
    planned: list[tuple[list[str], dict[str, Any]]] = field(
        default_factory=list[tuple[list[str], dict[str, Any]]]
    )

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> list[JobReturn]:
        """Run what is not finished; returns what came of each, in order."""
        runs = [(self.own(words), self.compose(list(words))) for words in job_overrides]
        if self.preview:
            self.planned += runs
            return [JobReturn(status=JobStatus.COMPLETED) for _ in job_overrides]
        for _, config in runs:
            build(config)  # what is wrong with a config is said here, not by every run
        with leased(self.sweep.folder / "register", wait=600, what=self.sweep.id, told=log.debug):
            records = [self._register(own, config) for own, config in runs]
        start(self.sweep, list(dict.fromkeys(records)), self.start, self.launch_as)
        pairs = zip(records, job_overrides, strict=True)
        return [_returned(record, words, self.strict) for record, words in pairs]

    def check(self) -> None:
        """Refuse a sweep of nothing; to be asked when the sweeper has ended."""
        if not self.planned and not self.sweep.records():
            fix = "Give each swept key a value"
            raise ConfigError("the grid is empty", where=", ".join(sorted(self.swept)), fix=fix)

    def own(self, words: Sequence[str]) -> list[str]:
        """What of a run's overrides is not the same in all of them."""
        return [word for word in words if key(word) in self.swept]

    def _register(self, own: list[str], config: dict[str, Any]) -> Record:
        """The record of a run: the one it had before, or a new one.

        One that was finished on another config, because a file it is made of was edited, begins
        anew: its result and its state are not this config's.
        """
        known = self.sweep.records()
        record = next((one for one in known if one.member["overrides"] == own), None)
        if record is None:
            taken = {one.number for one in known}
            record = self.sweep.record(next(n for n in count() if n not in taken))
        elif _decisive(read_json(record.config)) != _decisive(config):
            if record.held():
                fix = f"Wait for it to end, or trivet sweep cancel {self.sweep.id}"
                what = "is at work on another config than this"
                raise TrivetError(what, where=f"run {record.folder.name}", fix=fix)
            log.info("run %s: its config has changed: it begins anew", record.folder.name)
            record.forget()
        config["sweep"] = {
            "name": self.sweep.facts["name"],
            "id": self.sweep.id,
            "folder": str(self.sweep.folder),
            "number": record.number,
            "level": {name: value for name, value in level(own).items() if name != "seed"},
            "overrides": own,
            "baseline": config.get("baseline"),
        }
        record.folder.mkdir(exist_ok=True)
        if not record.held():
            write_json(record.config, config, ordered=False)
        return record


def start(sweep: Sweep, records: list[Record], begin: Start, launch: Launch) -> None:
    """Give what is neither settled nor at work to the launcher, and wait for all of them."""
    left = [one for one in records if one.status().state not in _SETTLED and not one.held()]
    for record in left:
        status = record.status()
        status.state, status.reason, status.ended = "queued", "", None
        record.write(status)
    settled = len(records) - len(left)
    print_ = f"{sweep.id}: {len(records)} runs, {settled} of them finished or at work elsewhere"
    log.info("%s; trivet sweep status %s", print_, sweep.id)
    if left:
        words = spread(launch, [one.number for one in left], sweep.folder)
        try:
            with sweep.attended():
                begin(words)
        except TrivetError:
            raise
        except Exception as error:  # the launcher lost an element: the others may go on
            lines = str(error).strip().splitlines()
            log.warning("the launcher says: %s", lines[-1] if lines else type(error).__name__)
    while any(one.held() or _queued(sweep, one) for one in records):
        time.sleep(1.0)


def _queued(sweep: Sweep, record: Record) -> bool:
    """Whether Slurm still has an element that is to do it; other launchers keep no queue."""
    return record.status().state not in ENDED and bool(sweep.in_slurms_queue())


def _decisive(config: dict[str, Any]) -> str:
    """What of a config decides its result, as it is written."""
    return json.dumps({key: value for key, value in config.items() if key not in _ELSEWHERE})


def _returned(record: Record, words: Sequence[str], strict: bool) -> JobReturn:
    """What a sweeper wants to hear of a run."""
    status, done = record.status(), JobReturn(overrides=words, working_dir=os.getcwd())
    if status.state in _SETTLED or not strict:
        done.status, done.return_value = JobStatus.COMPLETED, record.result.get("objective")
    else:
        what = f"{status.state}: {status.reason}"
        done.status = JobStatus.FAILED
        done.return_value = TrivetError(what, where=record.folder.name)
    return done


def key(word: str) -> str:
    """The key that a word sets."""
    return word.partition("=")[0].lstrip("+~")


def level(words: Sequence[str]) -> dict[str, Any]:
    """Overrides by their keys, their values as a config holds them."""
    parsed = OverridesParser.create().parse_overrides(list(words))
    return {key(word): _plain(one.value()) for word, one in zip(words, parsed, strict=True)}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    return value if isinstance(value, bool | int | float | str | None) else str(value)
