"""A bench: a suite of tasks and the metrics reported on it."""

from __future__ import annotations

import dataclasses
import fnmatch
from dataclasses import dataclass, field
from pathlib import Path

from trivet.bench.folder import Folder
from trivet.bench.hub import Hub
from trivet.bench.metrics import parse
from trivet.bench.source import TaskSource
from trivet.core.beir import has_corpus
from trivet.core.errors import ConfigError, nearest
from trivet.core.schema import unkeyed

METRICS = [
    "ndcg@10",
    "recall@2",
    "recall@5",
    "recall@10",
    "recall@20",
    "recall@100",
    "mrr@10",
    "map",
]


@dataclass
class Bench:
    """A config file under configs/bench makes one; no code is needed."""

    name: str
    """What the bench is called in the ledger."""
    tasks: list[TaskSource]
    """Its tasks."""
    metrics: list[str] = field(default_factory=METRICS.copy)
    """What is measured: ndcg@k, recall@k, precision@k, mrr@k, accuracy@k, map."""
    main: str = "ndcg@10"
    """The metric that is averaged over tasks."""
    mains: dict[str, str] = field(default_factory=dict[str, str])
    """Tasks, or groups of them, whose main metric is another."""
    pick: list[str] | None = None
    """The tasks to use: names, patterns such as `cqadupstack/*`, or groups; null takes all."""
    data: str | None = unkeyed(None)
    """A folder with local copies in BEIR layout, one folder a task, used where there is one."""

    def __post_init__(self) -> None:
        """At least one task, names used once, metrics that exist."""
        for metric in self.metrics:
            parse(metric)
        for metric in (self.main, *self.mains.values()):
            if metric not in self.metrics:
                fix = nearest(metric, self.metrics)
                raise ConfigError(f"{metric} is not measured", where="main", fix=fix)
        if not self.tasks:
            raise ConfigError("no task", where="tasks")
        if self.pick is not None:
            self.tasks = self._picked(self.pick)
        if self.data is not None:
            folder = Path(self.data).expanduser()
            if not folder.is_dir():
                raise ConfigError(f"no such folder: {folder}", where="data")
            self.tasks = [self._local(task, folder) for task in self.tasks]

    def main_of(self, task: str) -> str:
        """The main metric of a task."""
        return self.mains.get(task) or self.mains.get(group(task)) or self.main

    def _picked(self, wanted: list[str]) -> list[TaskSource]:
        names = [task.name for task in self.tasks]
        found: set[str] = set()
        for word in wanted:
            hits = [name for name in names if _means(word, name)]
            if not hits:
                known = [*names, *(group(name) for name in names)]
                raise ConfigError(f"no task {word}", where="pick", fix=nearest(word, known))
            found.update(hits)
        return [task for task in self.tasks if task.name in found]

    def _local(self, task: TaskSource, data: Path) -> TaskSource:
        """The task from its local copy, if there is one."""
        if not isinstance(task, Hub | Folder):
            return task
        if (data / task.name).is_dir() and task.name:
            return dataclasses.replace(task, path=str(data / task.name))
        if len(self.tasks) == 1 and has_corpus(data):
            return dataclasses.replace(task, path=str(data))
        if isinstance(task, Folder) and not Path(task.path).is_dir():
            fix = f"Put it in BEIR layout into {data / task.name}"
            raise ConfigError(f"no copy of {task.name or 'the task'}", where="data", fix=fix)
        return task


def group(task: str) -> str:
    """What a task is a part of: `cqadupstack/gis` of cqadupstack, any other of itself."""
    return task.partition("/")[0]


def _means(word: str, name: str) -> bool:
    return word in (name, group(name)) or fnmatch.fnmatchcase(name, word)
