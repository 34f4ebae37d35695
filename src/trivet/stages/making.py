"""An artifact that several runs want is made by one of them; the others wait for it.

A maker that dies leaves its checkpoints in its run's folder. Whoever takes over moves them into its
own and goes on from there: a backbone under twenty heads is not begun again because one head's run
was preempted while making it.
"""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from trivet.core import ranks
from trivet.core.artifact import Artifact
from trivet.core.files import read_json, write_json
from trivet.core.lease import leased
from trivet.core.run import Work

log = logging.getLogger("trivet")


@contextmanager
def alone(work: Work) -> Generator[Artifact | None]:
    """Nobody else makes this artifact during the block; it is handed in if it is there by now."""
    store = work.run.store
    place = store.place(work.stage, work.key)
    lock = place.with_name(f".{place.name}.lock")
    first = ranks.first()
    with leased(lock, wait=math.inf, what=place.name) if first else nullcontext():
        if first:
            found = None if work.again else store.find(work.stage, work.key)
            if found is None:
                _take_over(work, place.with_name(f".{place.name}.maker.json"))
            ranks.gather(found is not None)
            yield found
        else:
            there = ranks.gather(False)[0]
            yield Artifact.open(place, verify=False) if there else None


def _take_over(work: Work, note: Path) -> None:
    """Fetch what the last maker left, and note that this run is the maker now."""
    mine = work.folder.absolute()
    if note.is_file() and work.run.resume != "never" and not list(mine.glob("step-*")):
        last = Path(read_json(note)["folder"])
        if last != mine and list(last.glob("step-*")):
            mine.parent.mkdir(parents=True, exist_ok=True)
            if mine.exists():
                shutil.rmtree(mine)  # it holds no checkpoint
            last.rename(mine)
            log.info("%s: goes on from what %s left", work.stage, last)
    note.parent.mkdir(parents=True, exist_ok=True)
    write_json(note, {"folder": str(mine)})
