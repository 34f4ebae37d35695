"""The pipeline: stages in order, each fed by the artifact before it, each made once."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

from trivet import __version__
from trivet.core import ranks
from trivet.core.artifact import Artifact
from trivet.core.errors import ConfigError, Interrupted, TrivetError
from trivet.core.files import write_json
from trivet.core.hashing import json_digest
from trivet.core.machine import hardware
from trivet.core.run import Run, Work
from trivet.core.schema import content
from trivet.core.versions import git_revision, library_versions
from trivet.stages.judge import judge
from trivet.stages.lineage import ancestors, origins
from trivet.stages.making import alone
from trivet.stages.parent import open_parent
from trivet.stages.plan import Step, Train

log = logging.getLogger("trivet")


def run(train: Train, steps: list[Step], config: dict[str, Any]) -> Artifact | None:
    """Carry out a plan; returns the last stage's artifact. `config` is the composed config."""
    identity = json_digest([step.key for step in steps])[:10]
    folder = Path(train.out).expanduser() / "runs" / f"{train.name}-{identity}"
    execution = Run(
        folder=folder,
        name=folder.name,
        config=config,
        store=train.store,
        cache=train.cache_folder,
        machine=train.machine,
        tracker=train.tracker,
        resume=train.resume,
        profile=train.debug.profile,
        patient=train.sweep is not None,
        sweep=train.sweep.row if train.sweep else None,
        judge=judge(train),
    )
    if len(set(ranks.gather(tuple((step.key, step.action) for step in steps)))) > 1:
        raise TrivetError("the ranks do not agree on the plan", fix="Give all one config and store")
    artifact = open_parent(train.parent) if train.parent else None
    if train.sweep is not None and ranks.first():  # so that who reads the store finds the curves
        where = Path(train.sweep.folder) / f"{train.sweep.number:04d}" / "where.json"
        write_json(where, {"run": str(folder.absolute())})
    with execution.opened():
        state = "failed"
        try:
            for step in steps:
                if step.action == "skip":
                    continue
                artifact = step.artifact or _make(step, artifact, execution)
                execution.stages.append(
                    {"stage": step.name, "key": artifact.key, "path": str(artifact.path)}
                )
            state = "finished"
        except (KeyboardInterrupt, SystemExit, Interrupted):
            state = "interrupted"
            raise
        finally:
            execution.finish(state)
    return artifact


def _make(step: Step, parent: Artifact | None, execution: Run) -> Artifact:
    describe: dict[str, Any] = {
        "config": content(step.stage),
        "version": step.stage.version,
        "parents": [parent.key] if parent else [],
        "ancestors": ancestors(parent),
        "origins": origins(step.stage),
        "trivet": __version__,
        "git": git_revision(),
        "libraries": library_versions(),
        "hardware": hardware(),
    }
    work = Work(execution, step.name, step.key, describe, step.again)
    try:
        with alone(work) as found:
            if found is not None:
                log.info("%s: made by another run meanwhile", step.name)
                return found
            log.info("%s: begins", step.name)
            artifact = step.stage.run(parent, work)
    except ConfigError as error:
        fields = {field.name for field in dataclasses.fields(step.stage)}  # pyright: ignore
        if error.where.partition(".")[0] not in fields:
            raise
        where = f"stages.{step.name}.{error.where}"
        raise ConfigError(error.what, where=where, fix=error.fix) from None
    log.info("%s: finished, %s", step.name, artifact.path)
    return artifact
