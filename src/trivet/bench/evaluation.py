"""The whole of `trivet eval`: a retriever on every task of a bench, and the rows it leaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trivet.bench.bench import Bench
from trivet.bench.evaluate import evaluate
from trivet.bench.given import Given
from trivet.bench.ledger import Ledger
from trivet.bench.metrics import check_depth, deepest
from trivet.bench.tune import tune
from trivet.core.errors import ConfigError
from trivet.core.machine import Machine
from trivet.core.ranks import rank
from trivet.retrieval.cache import Cache
from trivet.retrieval.hybrid import Hybrid
from trivet.retrieval.protocol import Retriever


@dataclass(kw_only=True)
class Evaluation:
    """The config of `trivet eval`."""

    bench: Bench
    """What is measured."""
    retriever: Retriever
    """How documents are found."""
    machine: Machine = field(default_factory=Machine)
    """Where it runs."""
    cache: Cache = field(default_factory=Cache)
    """Where vectors are kept; retrievers refer to it."""
    k: int | None = None
    """Documents retrieved per query; null is as deep as the metrics look, and at least 100."""
    ledger: str = "results/ledger.jsonl"
    """Rows are appended here."""
    tune: Bench | None = None
    """A train or dev bench to choose a fusion's weights on."""
    label: str = ""
    """What tables call the rows; empty is the model's name."""

    def __post_init__(self) -> None:
        """At least one document a query, and as many as the metrics look at."""
        if self.k is not None and self.k < 1:
            raise ConfigError("must be at least 1", where="k")
        check_depth(self.bench.metrics, self.depth)
        if self.tune is not None and not isinstance(self.retriever, Hybrid):
            raise ConfigError("only a hybrid has weights to tune", where="tune")
        if isinstance(self.retriever, Given):
            several = len(self.bench.tasks)
            if several > 1 and Path(self.retriever.path).expanduser().is_file():
                fix = "Choose one with --tasks, or name a folder with TASK.trec for each"
                raise ConfigError(f"one run for {several} tasks", where="--ranking", fix=fix)

    @property
    def depth(self) -> int:
        """How many documents are retrieved per query."""
        return self.k if self.k is not None else max(100, deepest(self.bench.metrics))

    def run(self, command: str, sweep: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Evaluate task by task; a row is in the ledger before the next task begins.

        `sweep` says of which one the model is a run. Of several processes the first writes, and
        has the rows.
        """
        ledger = Ledger(Path(self.ledger).expanduser(), self.machine.store)
        ledger.check_place()
        rows: list[dict[str, Any]] = []
        if self.tune is not None and isinstance(self.retriever, Hybrid):
            tune(self.retriever, self.tune, self.bench)
        for source in self.bench.tasks:
            result = evaluate(
                source.load(), self.retriever, k=self.depth, metrics=self.bench.metrics
            )
            if rank() == 0:
                row = ledger.add(
                    result,
                    bench=self.bench.name,
                    command=command,
                    label=self.label,
                    sweep=sweep,
                )
                rows.append(row)
        return rows
