"""A sweep is asked to end: by a file that everyone at work on it looks for."""

from __future__ import annotations

import shutil
import subprocess

from trivet.sweep.record import ENDED, Status, Sweep


def cancel(sweep: Sweep) -> list[str]:
    """Ask; what waits in Slurm's queue is taken out of it, where Slurm is at hand.

    Runs at work save and end within seconds, wherever they are. Of those that nobody has begun the
    state is set here.
    """
    sweep.cancel()
    left = [one for one in sweep.records() if one.status().state not in ENDED]
    waiting = [one for one in left if not one.held()]
    for record in waiting:
        record.write(Status("cancelled", "on request"))
    if shutil.which("scancel") is not None:
        asked = ["scancel", "--name", sweep.id, "--state", "PENDING"]
        subprocess.run(asked, capture_output=True)
    if not left:
        return [f"{sweep.id}: nothing of it is at work or waits"]
    return [
        f"{sweep.id}: {len(left) - len(waiting)} runs are asked to save and end, "
        f"{len(waiting)} will not begin; trivet sweep retry {sweep.id} takes them up again"
    ]
