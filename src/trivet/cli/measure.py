"""What ends a run of a sweep: its model is measured by `trivet eval`, and its result is written."""

from __future__ import annotations

import os
import shlex
from contextlib import redirect_stderr
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

from trivet.bench.average import shares
from trivet.core import ranks
from trivet.core.artifact import Artifact
from trivet.core.errors import ConfigError, TrivetError, nearest
from trivet.core.files import write_json
from trivet.core.member import Member
from trivet.stages.plan import Train

_RETRIEVERS = {"Colbert": "colbert", "Sae": "latent"}  # by the stage's class; others are dense


def conclude(train: Train, artifact: Artifact, config: dict[str, Any]) -> None:
    """Measure a run's model, once, and say what a sweeper looks at."""
    member = train.sweep
    assert member is not None
    ledger: str | None = None
    rows: list[dict[str, Any]] = []
    if train.measure:
        ledger, rows = _measured(train.measure, artifact, member, config)
    if not ranks.first():
        return
    metrics = {row["task"]: row["metrics"] for row in rows}
    result: dict[str, Any] = {"artifact": str(artifact.path.absolute()), "metrics": metrics}
    result |= {"ledger": ledger, "rows": [row["id"] for row in rows]}
    result["objective"] = _objective(train, artifact, metrics, rows)
    leave(member, result)


@cache
def check(words: str) -> None:
    """Refuse what `trivet eval` would refuse after each run, before there is one."""
    from trivet.cli.eval import composed, parser

    said = StringIO()
    try:
        argv = shlex.split(words)
    except ValueError as error:
        what = f"cannot be read ({error}): {words}"
        raise ConfigError(what, where="measure", fix="Close the quotes") from None
    try:
        with redirect_stderr(said):
            flags = parser().parse_args([*argv, "--model", "THE-RUNS-MODEL"])
        ledger = Path(composed(flags).ledger).expanduser().absolute()
    except SystemExit:
        what = said.getvalue().strip().rpartition("error: ")[2]
        raise ConfigError(what, where="measure", fix="See trivet eval --help") from None
    except TrivetError as error:
        where = f"measure, {error.where}" if error.where else "measure"
        raise ConfigError(error.what, where=where, fix=error.fix) from None
    there = next(path for path in [ledger, *ledger.parents] if path.exists())
    if not os.access(there, os.W_OK):
        raise ConfigError("cannot be written", where=f"measure, {there}", fix="Set --ledger")


def leave(member: Member, result: dict[str, Any]) -> None:
    """Write a run's result where the sweep finds it."""
    write_json(Path(member.folder) / f"{member.number:04d}" / "result.json", result)


def _measured(
    words: str, artifact: Artifact, member: Member, config: dict[str, Any]
) -> tuple[str, list[dict[str, Any]]]:
    """The ledger, and the rows of this run: those that were in it, and those that were missing."""
    from trivet.bench.ledger import Ledger
    from trivet.cli.eval import composed, parser

    argv = [*shlex.split(words), "--model", str(artifact.path)]
    if "--retriever" not in argv:
        kind = str(artifact.manifest["config"]["_target_"]).rpartition(".")[2]
        argv += ["--retriever", _RETRIEVERS.get(kind, "dense")]
    if not any(word.partition("=")[0] == "--label" for word in argv):
        argv += ["--label", config["name"]]  # the levels' names come from the sweep
    for name in ("device", "threads", "encode_tokens", "remote"):
        if config["machine"].get(name) is not None:
            argv.append(f"++machine.{name}={config['machine'][name]}")
    flags = parser().parse_args(argv)
    evaluation = composed(flags)
    ledger = Path(evaluation.ledger).expanduser().absolute()
    there = [
        row
        for row in Ledger(ledger).read()
        if _of(row, member, artifact) and row["bench"] == evaluation.bench.name
    ]
    done = {row["task"] for row in there}
    evaluation.bench.tasks = [one for one in evaluation.bench.tasks if one.load().name not in done]
    rows = evaluation.run("trivet eval " + shlex.join(argv), sweep=member.row)
    return str(ledger), [*there, *rows]


def _of(row: dict[str, Any], member: Member, artifact: Artifact) -> bool:
    """Whether a row is this run's: it was killed after it had measured."""
    sweep = row.get("sweep") or {}
    mine = (sweep.get("id"), sweep.get("overrides")) == (member.id, member.overrides)
    return mine and row["retriever"]["model_key"] == artifact.key


def _objective(
    train: Train, artifact: Artifact, metrics: dict[str, Any], rows: list[dict[str, Any]]
) -> float | None:
    """The last value of a metric of the training log, or the mean of one of the bench."""
    name = train.objective
    if name == "loss" or name.startswith("dev/"):
        return _last_logged(artifact, name)
    if not metrics:
        return None
    values = [found.get(name or next(iter(found))) for found in metrics.values()]
    if None in values:
        fix = f"There is: {', '.join(next(iter(metrics.values())))}, loss, dev/…"
        raise ConfigError(f"{name} is not measured", where="objective", fix=fix)
    parts = shares(list(metrics))  # as `trivet eval` takes the average
    return float(sum(parts[task] * value for task, value in zip(metrics, values, strict=True)))


def _last_logged(artifact: Artifact, name: str) -> float:
    found = (artifact.manifest.get("training") or {}).get("last") or {}
    if name not in found:
        fix = nearest(name, found)
        raise ConfigError(f"{name} was not logged", where="objective", fix=fix)
    return float(found[name])
