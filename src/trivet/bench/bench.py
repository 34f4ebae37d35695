"""A bench: a suite of tasks and the metrics reported on it."""

from __future__ import annotations

from dataclasses import dataclass, field

from trivet.bench.folder import Folder
from trivet.bench.metrics import parse
from trivet.core.errors import ConfigError

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
    tasks: list[Folder]
    """Its tasks."""
    metrics: list[str] = field(default_factory=METRICS.copy)
    """What is measured: ndcg@k, recall@k, mrr@k, map."""

    def __post_init__(self) -> None:
        """At least one task, and metrics that exist."""
        if not self.tasks:
            raise ConfigError("no task", where="tasks")
        for metric in self.metrics:
            parse(metric)
