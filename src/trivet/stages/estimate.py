"""How long a run would take here: a few real steps of each stage, timed and thrown away."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

from trivet.core.files import read_json, write_json
from trivet.core.machine import hardware
from trivet.core.ranks import world
from trivet.data.mixture import Mixture
from trivet.data.sources import Source
from trivet.stages.pipeline import run
from trivet.stages.plan import Step, Train

_STEPS = 6


def estimate(train: Train, steps: list[Step]) -> list[str]:
    """One line for each stage that would be trained. What is finished is used as it is."""
    ranks = train.machine.processes if world() == 1 else 1
    trials = [_short(step, ranks) if step.action == "run" else step for step in steps]
    out: list[str] = []
    with tempfile.TemporaryDirectory(prefix="trivet-estimate-") as folder:
        cache = Path(folder) / "cache"
        trial = dataclasses.replace(train, out=folder, cache=str(cache))
        texts = train.cache_folder / "texts"  # kept: the run needs all of them, too
        texts.mkdir(parents=True, exist_ok=True)
        cache.mkdir()
        (cache / "texts").symlink_to(texts.resolve())
        run(trial, trials, {})
        for step, short in zip(steps, trials, strict=True):
            made = trial.store.find(short.name, short.key)
            if made is not None and step.stage.fit is not None:
                out.append(_line(step, short, made.manifest, train.cache_folder))
                _remember(train, step, made.manifest)
        if ranks > 1:
            out.append(
                f"timed with one rank's share of a batch, of {ranks}; none waited for others"
            )
    return out


def known_seconds(train: Train, key: str) -> float | None:
    """What `--estimate` timed for a stage of this key: seconds on the device that it ran on."""
    path = _note(train, key)
    return float(read_json(path)["seconds"]) if path.is_file() else None


def _remember(train: Train, step: Step, manifest: dict[str, Any]) -> None:
    seconds = _planned(step, train.cache_folder) * manifest["training"]["seconds_per_step"]
    path = _note(train, step.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"seconds": seconds * train.machine.processes, "hardware": hardware()})


def _note(train: Train, key: str) -> Path:
    return train.cache_folder / "estimates" / f"{key[:24]}.json"


def _planned(step: Step, cache: Path) -> int:
    """The steps of a training."""
    data = step.stage.data  # pyright: ignore
    return min(_steps(data, step.stage.fit, cache), step.stage.fit.steps or 10**12)


def _line(step: Step, short: Step, manifest: dict[str, Any], cache: Path) -> str:
    facts, data = manifest["training"], step.stage.data  # pyright: ignore
    planned = _planned(step, cache)
    seconds = facts["seconds_per_step"]
    said = (
        f"{step.name}: {planned} steps of {seconds:.2f} s here, about "
        f"{planned * seconds / 3600:.2f} h; {facts['peak_memory_gib']:.1f} GiB after "
        f"{facts['steps']} steps"
    )
    if "teacher" in manifest:
        few = sum(_rows(source, cache) for source in short.stage.data.sources)  # pyright: ignore
        all_rows = sum(_rows(source, cache) for source in data.sources)
        hours = manifest["teacher"]["seconds"] / max(1, few) * all_rows / 3600
        said += f"; before it the teacher reads for about {hours:.2f} h"
    return said + "; dev checks and saving are not counted"


def _steps(data: Mixture, fit: Any, cache: Path) -> int:
    """The steps that the data fills, decontamination aside."""
    batches = sum(_rows(source, cache) // fit.batch for source in data.sources)
    return batches * data.epochs // fit.accumulate


def _rows(source: Source, cache: Path) -> int:
    """As published, where that is known, else counted."""
    return source.expected if source.expected is not None else len(source.open(cache))


def _short(step: Step, ranks: int) -> Step:
    """A stage on the few rows that a few steps need."""
    if step.stage.fit is None:
        return step
    steps = min(_STEPS, step.stage.fit.steps or _STEPS)
    batch = max(2, step.stage.fit.batch // ranks)
    fit = dataclasses.replace(step.stage.fit, steps=steps, batch=batch, save_every=10**9)
    data: Mixture = step.stage.data  # pyright: ignore
    wanted = (steps + 1) * fit.accumulate * fit.batch
    sources = [
        dataclasses.replace(source, limit=min(wanted, source.limit or wanted))
        for source in data.sources
    ]
    few = dataclasses.replace(data, sources=sources, families={})
    return dataclasses.replace(step, stage=dataclasses.replace(step.stage, fit=fit, data=few))  # pyright: ignore
