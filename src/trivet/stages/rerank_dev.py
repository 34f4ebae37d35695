"""Watching a dev bench while a reranker trains: what a first stage finds, in its order."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from trivet.core.errors import ConfigError
from trivet.core.machine import Machine
from trivet.models.cross_encoder import Cross
from trivet.retrieval.bm25 import Bm25
from trivet.retrieval.protocol import Retriever
from trivet.retrieval.rerank import Rerank
from trivet.retrieval.rerankers import CrossEncoder
from trivet.stages.dev import Dev


@dataclass
class RerankDev(Dev):
    """A bench to measure on during training. Use a dev or train split, never the one reported."""

    first: Retriever = field(default_factory=Bm25)
    """What finds the documents."""
    depth: int = 20
    """Documents of each query that are scored again."""

    def __post_init__(self) -> None:
        """Something to rerank."""
        super().__post_init__()
        if self.depth < 1:
            raise ConfigError("must be at least 1", where="depth")

    def _retriever(self, model: nn.Module, machine: Machine) -> Retriever:
        assert isinstance(model, Cross)
        reranker = CrossEncoder("in training", precision=self.precision, machine=machine)
        reranker.use(model)
        return Rerank(self.first, reranker, depth=self.depth)
