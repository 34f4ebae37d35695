"""What a sweep would be: its grid, what is there already, what it costs, what Slurm is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trivet.core.launching import Launch
from trivet.core.schema import build
from trivet.stages.estimate import known_seconds
from trivet.stages.plan import Step, Train, plan
from trivet.sweep.baseline import is_baseline
from trivet.sweep.elements import Elements, level


def preview(elements: Elements) -> list[str]:
    """The grid as lines: a run's overrides and what its stages do, and then the sums."""
    out: list[str] = []
    made: dict[str, tuple[Train, Step]] = {}
    found: set[str] = set()
    unkeyed = 0
    for number, (words, config) in enumerate(elements.planned):
        train = build(config)
        steps = plan(train, unreachable=True)
        base = " (baseline)" if is_baseline(level(words), config.get("baseline")) else ""
        out.append(f"{number:04d}  {' '.join(words)}{base}")
        for step in steps:
            shared = " (made by an earlier run)" if step.key in made else ""
            out.append(f"      {step.action:<6} {step.name:<10} {step.reason}{shared}")
            if step.action == "reuse":
                found.add(step.key)
            elif step.action == "run" and step.key:
                made.setdefault(step.key, (train, step))
            elif step.action == "run":
                unkeyed += 1
    launch = elements.launch_as
    numbers = list(range(len(elements.planned)))
    parts = launch.elements(numbers)
    out += [
        "",
        f"{elements.sweep.id}: {len(numbers)} runs in {len(parts)} elements of at most "
        f"{max(map(len, parts), default=0)}, {launch.max_parallel} at the same time",
        f"{len(made)} artifacts to make, {len(found)} in the store"
        + (f", {unkeyed} stages have no key yet" if unkeyed else ""),
        _cost(made),
    ]
    return out + (_header(elements, launch, len(parts)) if _by_slurm(launch) else [])


def _cost(made: dict[str, tuple[Train, Step]]) -> str:
    """GPU-hours of what `--estimate` has timed; of the rest it is said that nobody knows."""
    seconds, unknown = 0.0, 0
    for key, (train, step) in made.items():
        if step.stage.fit is None:
            continue
        known = known_seconds(train, key)
        unknown += known is None
        seconds += known or 0.0
    timed = sum(step.stage.fit is not None for _, step in made.values()) - unknown
    if not timed:
        return f"device-hours: unknown, none of {unknown} trainings was timed: add --estimate"
    rest = f"; {unknown} trainings were not timed" if unknown else ""
    return f"device-hours: about {seconds / 3600:.2f} for {timed} trainings as timed here{rest}"


def _by_slurm(launch: Launch) -> bool:
    return launch.launcher == "submitit_slurm"


def _header(elements: Elements, launch: Launch, count: int) -> list[str]:
    """The #SBATCH lines, as submitit writes them."""
    try:
        from submitit.slurm import slurm  # pyright: ignore[reportMissingImports]
    except ImportError:
        return ["", "the sbatch header is written by submitit: pip install 'trivet[slurm]'"]
    given = launch.settings(elements.sweep.id)
    equal = slurm.SlurmExecutor._equivalence_dict()
    left_out = ("max_num_timeout", "submitit_folder")
    names: Any = {
        str(equal.get(k, k)): v for k, v in given.items() if k not in left_out and v is not None
    }
    if "mem" in names:
        names["mem"] = f"{names['mem']}GB"
    folder = Path(elements.sweep.folder) / "launcher" / ".submitit" / "%j"
    text = slurm._make_sbatch_string(
        command="", folder=folder, map_count=count if count > 1 else None, **names
    )
    return ["", *(line for line in text.splitlines() if line.startswith("#SBATCH"))]
