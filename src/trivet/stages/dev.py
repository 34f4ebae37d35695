"""Watching a dev bench while training."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from torch import nn

from trivet.bench.bench import Bench
from trivet.bench.evaluate import evaluate
from trivet.core.errors import ConfigError, nearest
from trivet.core.machine import Machine, Precision
from trivet.core.schema import unkeyed
from trivet.models.colbert import ColBERT
from trivet.models.dense import Dense
from trivet.retrieval.colbert import ColbertRetriever
from trivet.retrieval.dense import DenseRetriever
from trivet.retrieval.protocol import Retriever
from trivet.training.settings import Check


@dataclass
class Dev:
    """A bench to measure on during training. Use a dev or train split, never the one reported."""

    bench: Bench
    """Its tasks are measured and averaged."""
    every: int = 100
    """Steps between measurements."""
    metric: str = "ndcg@10"
    """What decides which checkpoint is best."""
    patience: int | None = None
    """Stop after so many measurements without a new best; null never stops."""
    precision: Precision = unkeyed("fp32")
    """Of the encoder while measuring."""

    def __post_init__(self) -> None:
        """The metric must be measured."""
        if self.metric not in self.bench.metrics:
            fix = nearest(self.metric, self.bench.metrics)
            raise ConfigError(f"{self.metric} is not measured", where="metric", fix=fix)
        if self.every < 1 or (self.patience is not None and self.patience < 1):
            raise ConfigError("every and patience must be at least 1", where="every")

    def check(self, model: nn.Module, machine: Machine) -> Check:
        """The function that training calls."""
        tasks = [task.load() for task in self.bench.tasks]

        def measure() -> dict[str, float]:
            totals = dict.fromkeys(self.bench.metrics, 0.0)
            for task in tasks:
                retriever = self._retriever(model, dataclasses.replace(machine))
                found = evaluate(task, retriever, k=100, metrics=self.bench.metrics)
                for name, value in found.metrics.items():
                    totals[name] += value / len(tasks)
            return totals

        return Check(measure, self.metric, self.every, self.patience)

    def _retriever(self, model: nn.Module, machine: Machine) -> Retriever:
        if isinstance(model, Dense):
            dense = DenseRetriever("in training", precision=self.precision, machine=machine)
            dense.use(model)
            return dense
        assert isinstance(model, ColBERT)
        late = ColbertRetriever("in training", precision=self.precision, machine=machine)
        late.use(model)
        return late
