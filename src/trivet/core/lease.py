"""One holder at a time on a folder that several machines share, and none that outlives its holder.

Advisory locks need a lock manager that NFS, Lustre or a container may lack. A lease needs only that
one of two who create a file of the same name wins, which every shared file system promises: the
holder of a lease is whoever made the file with the highest number. It touches that file while it
lives. On its own machine a dead holder is known by its process; on another, by a file that nobody
has touched for a while, as the one who waits sees it: clocks need not agree.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from trivet.core.errors import TrivetError

log = logging.getLogger("trivet")
BEAT = 5.0  # seconds between two touches
PATIENCE = 60.0  # seconds without one, after which a holder elsewhere is dead


@dataclass(frozen=True)
class Holder:
    """Who holds a lease, or held it last."""

    number: int
    facts: dict[str, Any]  # empty: its file is only just there
    touched: float

    @property
    def free(self) -> bool:
        """It was given back."""
        return bool(self.facts.get("free"))

    @property
    def dead(self) -> bool:
        """Its process has ended, which only its own machine can tell."""
        here = self.facts.get("place") == place()
        return here and self.facts.get("began") != began(int(self.facts["pid"]))

    def __str__(self) -> str:
        """The process as a person looks for it."""
        return f"process {self.facts.get('pid', '?')} on {self.facts.get('host', '?')}"


@contextmanager
def leased(
    path: Path, *, wait: float = 0.0, what: str = "this", told: Callable[[str], None] = log.info
) -> Generator[None]:
    """Hold a lease while the block runs; the files are named after `path`, which is made by no one.

    One that waits says for whom, once. A holder that finds its lease taken over, because it slept
    through its patience, asks its own process to stop.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    number = _take(path, wait, what, told)
    ended = threading.Event()
    beat = threading.Thread(target=_touch, args=(path, number, ended), daemon=True)
    beat.start()
    try:
        yield
    finally:
        ended.set()
        beat.join()
        holder = current(path)
        if holder is not None and holder.number == number:
            _replace(_file(path, number), {"free": True})


def current(path: Path) -> Holder | None:
    """The one with the highest number."""
    pattern = re.compile(re.escape(path.stem) + r"\.(\d+)\.lock")
    for _ in range(100):
        with suppress(FileNotFoundError):
            found = [pattern.fullmatch(name) for name in os.listdir(path.parent)]
            numbers = [int(match.group(1)) for match in found if match]
            if not numbers:
                return None
            return _read(path, max(numbers))
    return None


def place() -> str:
    """This machine since it started, and within it the set of processes that see each other."""
    return "/".join(_place(os.getpid()))


@cache
def _place(pid: int) -> tuple[str, str]:
    boot, names = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    try:
        return boot.read_text().strip(), os.readlink(names)
    except OSError:  # no Linux: the name must do
        return socket.gethostname(), ""


def began(pid: int) -> str:
    """When a process of this machine began, as a name that its number's next owner lacks."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        state, *rest = stat.rpartition(")")[2].split()
        return "" if state in "ZX" else rest[18]
    except OSError:
        pass
    if Path("/proc/self/stat").exists():
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "alive"


def _take(path: Path, wait: float, what: str, told: Callable[[str], None]) -> int:
    give_up, pause, said = time.monotonic() + wait, 0.02, False
    seen: tuple[int, float] | None = None
    since = time.monotonic()
    while True:
        holder = current(path)
        mark = (holder.number, holder.touched) if holder else None
        if mark != seen:
            seen, since = mark, time.monotonic()
        silent = time.monotonic() - since > PATIENCE
        if holder is None or holder.free or holder.dead or silent:
            number = _create(path, holder.number + 1 if holder else 1)
            if number is not None:
                if holder is not None and not holder.free:
                    told(f"{what}: taken over from {holder}, which is dead")
                return number
            continue
        if time.monotonic() >= give_up:
            fix = "Wait for it to end, or stop it"
            detail = f"another process is at work in {what} ({holder})"
            raise TrivetError(detail, where=str(path.parent), fix=fix)
        if not said:
            said = True
            told(f"{what}: waits for {holder}")
        time.sleep(pause)
        pause = min(1.0, pause * 1.5)


def _create(path: Path, number: int) -> int | None:
    """Make the file of that number, unless someone else has; what is older is removed."""
    facts = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "place": place(),
        "began": began(os.getpid()),
    }
    unique = f"{socket.gethostname()}.{os.getpid()}.{threading.get_ident()}"
    aside = path.with_name(f".{path.stem}.{unique}.part")
    aside.write_text(json.dumps(facts), encoding="utf-8")
    mine = _file(path, number)
    try:
        os.link(aside, mine)  # whole at once, and only if there is none
    except FileExistsError:
        if aside.stat().st_nlink != 2:  # else it is ours: only the server's answer was lost
            return None
    finally:
        aside.unlink()
    holder = current(path)
    if holder is None or holder.number != number:  # others came and went since the number was read
        mine.unlink(missing_ok=True)
        return None
    for old in range(max(1, number - 8), number):
        _file(path, old).unlink(missing_ok=True)
    return number


def _touch(path: Path, number: int, ended: threading.Event) -> None:
    mine = _file(path, number)
    while not ended.wait(BEAT):
        try:
            os.utime(mine)
        except FileNotFoundError:
            log.error("%s: another process took this over; stopping", path)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        except OSError as error:  # the file system is away for a moment
            log.warning("%s: cannot be touched (%s)", mine, error)


def _read(path: Path, number: int) -> Holder:
    with _file(path, number).open(encoding="utf-8") as stream:  # opening asks the server anew
        text, touched = stream.read(), os.fstat(stream.fileno()).st_mtime
    try:
        facts = json.loads(text)
    except ValueError:
        facts = {}
    return Holder(number, facts, touched)


def _replace(file: Path, facts: dict[str, Any]) -> None:
    aside = file.with_suffix(f".{os.getpid()}.part")
    aside.write_text(json.dumps(facts), encoding="utf-8")
    aside.replace(file)


def _file(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}.{number}.lock")
