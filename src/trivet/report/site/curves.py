"""Learning curves: what runs logged on the way, with the seeds of one config together."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trivet.report.site.held import RunFolder
from trivet.report.site.made import Flat, flat
from trivet.report.site.slugs import slugs
from trivet.report.sweeps import short

# what changes no curve, or is said by the sweep's level
_OFF = (
    *("seed", "out", "cache", "machine", "tracker", "debug", "resume", "force"),
    *("sweep", "measure", "objective", "hopeless"),
)


Line = tuple[list[int], list[float]]  # steps and values


@dataclass(frozen=True)
class Curve:
    """One config: of each seed the steps and the values."""

    label: str
    state: str  # finished if all are
    seeds: list[tuple[list[int], list[float]]]

    @property
    def steps(self) -> int:
        """How far the seed that is furthest has come."""
        return max(steps[-1] for steps, _ in self.seeds)

    @property
    def last(self) -> float:
        """The mean of the seeds' last values."""
        return sum(values[-1] for _, values in self.seeds) / len(self.seeds)


@dataclass(frozen=True)
class Curves:
    """One figure: a metric of a stage."""

    recipe: str
    stage: str
    metric: str
    curves: list[Curve]
    page: str = ""  # what its files are called


def curves(runs: Sequence[RunFolder]) -> list[Curves]:
    """A figure for each recipe, stage and metric: the dev metrics first, then the loss.

    Runs that share a stage log it once, in the folder of the run that made it.
    """
    recipes: dict[str, list[RunFolder]] = {}
    for run in runs:
        sweep = run.config.get("sweep") or {}
        recipe = str(run.config.get("name", run.name))
        recipes.setdefault(f"{recipe}, {sweep['id']}" if sweep else recipe, []).append(run)
    out: list[Curves] = []
    for recipe, of_recipe in recipes.items():
        found: dict[tuple[str, str], list[tuple[RunFolder, Line]]] = {}
        for run in of_recipe:
            for stage, metric, line in _series(run):
                found.setdefault((stage, metric), []).append((run, line))
        for (stage, metric), logged in sorted(found.items(), key=_order):
            by_name: dict[str, list[tuple[RunFolder, Line]]] = {}
            for name, one in zip(_names(of_recipe, logged, stage), logged, strict=True):
                by_name.setdefault(name, []).append(one)
            lines = [
                Curve(name, _state([run for run, _ in several]), [line for _, line in several])
                for name, several in by_name.items()
            ]
            out.append(Curves(recipe, stage, metric, lines))
    pages = slugs([f"curves-{one.recipe}-{one.stage}-{one.metric}" for one in out])
    return [replace(one, page=page) for one, page in zip(out, pages, strict=True)]


def _order(item: tuple[tuple[str, str], Any]) -> tuple[str, bool, str]:
    stage, metric = item[0]
    return stage, not metric.startswith("dev/"), metric


def _series(run: RunFolder) -> Iterator[tuple[str, str, Line]]:
    for stage, lines in run.stages.items():
        for metric in dict.fromkeys(name for line in lines for name in line):
            if metric in ("step", "lr"):
                continue
            known = [line for line in lines if isinstance(line.get(metric), int | float)]
            if known:
                steps = [int(line["step"]) for line in known]
                yield stage, metric, (steps, [float(line[metric]) for line in known])


def _state(runs: Sequence[RunFolder]) -> str:
    states = {run.state for run in runs}
    return states.pop() if len(states) == 1 else ", ".join(sorted(states))


def _names(
    runs: Sequence[RunFolder], logged: Sequence[tuple[RunFolder, Line]], stage: str
) -> list[str]:
    """What tells those who logged a stage from the others of the recipe, the seed apart.

    What a later stage is told makes no difference to this one, which several runs may share.
    """
    if all(run.config.get("sweep") for run in runs):
        levels = [_until(stage, run, run.config["sweep"]["level"]) for run in runs]
        names = dict(zip((id(run) for run in runs), short(levels), strict=True))
        return [names[id(run)] for run, _ in logged]
    configs = [_until(stage, run, _config(run)) for run, _ in logged]
    keys = list(dict.fromkeys(key for config in configs for key in config))
    differing = [
        key for key in keys if len({json.dumps(config.get(key)) for config in configs}) > 1
    ]
    out: list[str] = []
    for config in configs:
        told = [f"{_short(key, differing)}={config[key]}" for key in differing if key in config]
        out.append(", ".join(told[:4]) + (f" and {len(told) - 4} more" if told[4:] else ""))
    return [name or "as it is" for name in out]


def _until(stage: str, run: RunFolder, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings, less those of stages after this one."""
    stages = list(run.config.get("stages") or {})
    later = stages[stages.index(stage) + 1 :] if stage in stages else []
    pattern = re.compile(rf"(^|.*@)stages\.({'|'.join(map(re.escape, later))})(\..*)?$")
    return {key: value for key, value in settings.items() if not (later and pattern.match(key))}


def _config(run: RunFolder) -> Flat:
    whole = {key: value for key, value in run.config.items() if key not in _OFF}
    return {key: value for key, value in flat(whole, "").items() if not key.endswith("seed")}


def _short(key: str, others: Sequence[str]) -> str:
    """A key's last part, with those before it as far as they are needed."""
    parts = key.strip(".").split(".")
    for count in range(1, len(parts)):
        end = ".".join(parts[-count:])
        if sum(f".{other}".endswith(f".{end}") for other in others) == 1:
            return end
    return ".".join(parts)
