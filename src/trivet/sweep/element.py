"""What a launcher starts: an element, which works through its runs, each a process of its own.

A run that dies takes nothing with it: how it ended becomes its state, and the others go on. A
signal goes to all of them; when they have saved, it goes to whoever listened before, which is how
submitit hears that the time is up and puts the job back into the queue.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trivet.core.errors import GivenUp, TrivetError
from trivet.core.files import read_json
from trivet.core.launching import Launch
from trivet.core.lease import BEAT, PATIENCE
from trivet.sweep.launch import free_port
from trivet.sweep.record import ENDED, Record, Status, Sweep

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
_GRACE = 60.0  # seconds that runs have to save after they were asked to stop by `cancel`


@dataclass
class _Started:
    """A run at work."""

    record: Record
    status: Status
    process: subprocess.Popen[bytes]
    held: ExitStack


@dataclass
class _Element:
    """Its runs, and what it was told meanwhile."""

    sweep: Sweep
    waiting: list[Record]
    side_by_side: int
    started: list[_Started] = field(default_factory=list[_Started])
    asked: int = 0
    cancelled_at: float | None = None
    idle_since: float | None = None

    def next(self) -> Record | None:
        """What to begin now: what nobody is at. Those that others hold come last.

        A holder on another machine may be dead, which shows in a while; who then still lives will
        end the run without us.
        """
        if len(self.started) >= self.side_by_side:
            return None
        free = next((one for one in self.waiting if not one.held()), None)
        if free is not None:
            self.waiting.remove(free)
            self.idle_since = None
        elif self.waiting and not self.started:
            self.idle_since = self.idle_since or time.monotonic()
            if time.monotonic() - self.idle_since > 2 * PATIENCE + BEAT:
                self.waiting.clear()
        return free


def work(config: Any) -> None:
    """Hydra's task of an element: see configs/element.yaml."""
    sweep = Sweep.open(Path(config.folder))
    records = [sweep.record(int(number)) for number in config.runs]
    element = _Element(sweep, records, int(config.at_once))
    with _listening(element):
        while element.waiting or element.started:
            if element.asked or sweep.cancelled:
                _stop(element)
            elif record := element.next():
                _begin(element, record)
                continue
            for one in [one for one in element.started if one.process.poll() is not None]:
                _end(element, one)
            time.sleep(0.1)
    if element.asked:
        _hand_on(element, records)


def _hand_on(element: _Element, records: list[Record]) -> None:
    """Give the signal to who listened before; submitit refuses one that came too often."""
    try:
        os.kill(os.getpid(), element.asked)
        time.sleep(0.1)
    except Exception as error:
        for record in records:
            status = record.status()
            if status.state == "queued":
                status.state, status.reason = "failed", f"out of time: {error}"
                record.write(status)
        raise


def _begin(element: _Element, record: Record) -> None:
    """Start a run, unless it is done, or another element is at it."""
    if record.status().state in ENDED:
        return
    held = ExitStack()
    try:
        held.enter_context(record.claim())
    except TrivetError:
        return
    if record.status().state in ENDED:  # while we waited
        held.close()
        return
    try:
        process = _process(element, record)
    except (TrivetError, OSError) as error:  # a damaged config, a folder that is gone
        now = time.time()
        record.write(Status("failed", f"cannot be begun: {error}", began=now, ended=now))
        held.close()
        return
    element.started.append(_Started(record, record.start(), process, held))


def _process(element: _Element, record: Record) -> subprocess.Popen[bytes]:
    """The run's first process; it starts the other ranks, where there are any."""
    command = [sys.executable, "-m", "trivet.cli.worker", str(record.config)]
    cpus = max(1, (os.cpu_count() or 1) // element.side_by_side)
    environment = {"OMP_NUM_THREADS": str(cpus), **os.environ}
    processes = int(read_json(record.config)["machine"].get("processes", 1))
    if processes > 1:
        command += ["--processes", str(processes)]
        alone = {"SLURM_NODEID": "0", "SLURM_JOB_NUM_NODES": "1", "MASTER_ADDR": "127.0.0.1"}
        environment |= alone | {"MASTER_PORT": str(free_port())}
    with record.log.open("ab") as log:
        return subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=element.sweep.facts["cwd"],
            start_new_session=True,
        )


def _end(element: _Element, one: _Started) -> None:
    """Say how a run ended, and let go of it."""
    element.started.remove(one)
    code = one.process.returncode
    status, signalled = one.status, code in (-element.asked, 128 + element.asked)
    status.ended = time.time()
    if code == 0:
        status.state = "finished"
    elif code == GivenUp.exit_code:
        status.state, status.reason = "stopped", last_words(one.record.log)
    elif element.asked and signalled:
        status.state, status.reason = "queued", f"interrupted by {_name(element.asked)}, saved"
    elif element.sweep.cancelled:
        status.state, status.reason = "cancelled", "on request"
    else:
        status.state, status.reason = "failed", why(code, one.record.log)
    one.record.write(status)
    one.held.close()


def _stop(element: _Element) -> None:
    """Begin no more; of a cancelled sweep, ask those at work to save and end, and then insist."""
    left, element.waiting = element.waiting, []
    if not element.sweep.cancelled:
        return
    for record in left:
        if record.status().state not in ENDED:
            record.write(Status("cancelled", "on request"))
    now = time.monotonic()
    for one in element.started:
        if element.cancelled_at is None:
            one.process.send_signal(signal.SIGTERM)
        elif now - element.cancelled_at > _GRACE:
            one.process.kill()
    element.cancelled_at = element.cancelled_at or now


def why(code: int, log: Path) -> str:
    """The reason of a failure, in one line."""
    number = -code if code < 0 else code - 128
    if number == signal.SIGKILL:
        return "ended by SIGKILL: out of memory, or by hand"
    if number in set(signal.Signals):
        return f"ended by {_name(number)}"
    return last_words(log) or f"exit status {code}"


def last_words(log: Path) -> str:
    """The last line that a run's processes wrote, without who said it."""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - 8192))
        lines = [line.strip() for line in stream.read().decode(errors="replace").splitlines()]
    lines = [line for line in lines if line]
    if not lines:
        return ""
    if "OutOfMemoryError" in lines[-1]:
        return f"out of GPU memory: {lines[-1].partition(': ')[2]}"
    told = [line for line in lines if line.startswith("trivet: ")]
    last = told[-1] if told else lines[-1]
    return last.removeprefix("trivet: ").removeprefix("rank 0: ")


def _name(number: int) -> str:
    return signal.Signals(number).name


@contextmanager
def _listening(element: _Element) -> Generator[None]:
    """Within the block a signal goes to the runs, once, and is remembered."""

    def pass_on(number: int, frame: Any) -> None:
        if not element.asked:
            element.asked = number
            for one in element.started:
                if one.process.poll() is None:
                    one.process.send_signal(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {sign: signal.signal(sign, pass_on) for sign in _SIGNALS}
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


def quoted(value: object) -> str:
    """A value as Hydra's words take it, whatever is in it."""
    return "'" + re.sub(r"(\\*)'", r"\1\1\\'", str(value)) + "'"


def spread(launch: Launch, numbers: list[int], folder: Path) -> list[list[str]]:
    """What each element is told, as Hydra's words."""
    return [
        [f"folder={quoted(folder)}", f"runs={str(part).replace(' ', '')}", f"at_once={side}"]
        for part in launch.elements(numbers)
        for side in [launch.side_by_side]
    ]
