"""Runs that failed, were lost or were cancelled, begun again from what the store knows."""

from __future__ import annotations

from trivet.core.errors import TrivetError
from trivet.core.schema import build
from trivet.sweep.elements import start
from trivet.sweep.record import Sweep
from trivet.sweep.submit import launcher


def retry(sweep: Sweep, numbers: list[int]) -> None:
    """Give them to the launcher that the sweep had; all that are missing, or only these."""
    known = sweep.records()
    unknown = set(numbers) - {record.number for record in known}
    if unknown:
        fix = f"There are 0 to {len(known) - 1}"
        raise TrivetError(f"no run {min(unknown)}", where=sweep.id, fix=fix)
    chosen = [record for record in known if not numbers or record.number in numbers]
    (sweep.folder / "cancel").unlink(missing_ok=True)
    launch = build(sweep.facts["machine"]).launch
    start(sweep, chosen, launcher(launch, sweep), launch)
