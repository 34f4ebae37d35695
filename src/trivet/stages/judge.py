"""Whether a run of a sweep goes on, judged by what the store knows of the finished ones."""

from __future__ import annotations

import json
from pathlib import Path

from trivet.core import ranks
from trivet.core.errors import ConfigError, GivenUp, TrivetError
from trivet.core.files import read_json
from trivet.core.run import Judge
from trivet.stages.plan import Train


def judge(train: Train) -> Judge | None:
    """The function that training tells every metric to, if a rule is set."""
    rule, member, metric = train.hopeless, train.sweep, train.objective
    if rule is None or member is None:
        return None
    if not metric:
        fix = "Set objective=loss, or objective=dev/ndcg@10 with a dev bench"
        raise ConfigError("needs a metric of the training log", where="hopeless", fix=fix)
    under_study = train.until or list(train.stages)[-1]
    folder = Path(member.folder)

    def look(stage: str, step: int, metrics: dict[str, float]) -> None:
        if stage != under_study or metric not in metrics:
            return
        said = ""
        if ranks.first():
            said = rule.says(step, metrics[metric], at_step(folder, stage, step, metric))
        said = ranks.gather(said)[0]
        if said:
            raise GivenUp(f"ended early: {metric} is {said}", value=metrics[metric])

    return look


def at_step(folder: Path, stage: str, step: int, metric: str) -> list[float]:
    """What the finished runs of a sweep had at a step."""
    out: list[float] = []
    for state in sorted(folder.glob("*/state.json")):
        try:
            if read_json(state)["state"] != "finished":
                continue
            run = Path(read_json(state.with_name("where.json"))["run"])
            lines = (run / stage / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        except (OSError, TrivetError):  # it is being written, or its folder is gone
            continue
        rows = [json.loads(line) for line in lines]
        out += [float(row[metric]) for row in rows if row["step"] == step and metric in row][:1]
    return out
