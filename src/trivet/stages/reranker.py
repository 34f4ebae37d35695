"""A cross-encoder, trained to put a query's documents in order: a teacher that can be had anywhere.

Nogueira and Cho, "Passage Re-ranking with BERT" (https://arxiv.org/abs/1901.04085): query and
document are read together. Any model of the earlier stages gets a head of one number, and learns
from mined negatives or from the scores of a larger reranker; what it makes is what `trivet score`
and the retriever `rerank` take.
"""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from trivet.core.artifact import Artifact
from trivet.core.errors import ConfigError
from trivet.core.records import Batch
from trivet.core.run import Work
from trivet.core.seeds import derive
from trivet.data.mixture import Mixture
from trivet.losses.bce import BCE
from trivet.losses.lambda_loss import LambdaLoss
from trivet.losses.listwise import Listwise
from trivet.models.cross_encoder import Cross
from trivet.models.cross_layout import made_cross, save_cross
from trivet.optim.adamw import OptimizerConfig
from trivet.retrieval.learned import check_sides
from trivet.stages.clean import Clean
from trivet.stages.late import chosen_ways
from trivet.stages.lineage import lineage
from trivet.stages.pair_check import check_rows
from trivet.stages.rerank_dev import RerankDev
from trivet.stages.trained import needs_model, needs_rows, open_batches
from trivet.training.fit import fit
from trivet.training.settings import Fit, Prepared

log = logging.getLogger("trivet")
Labels = Literal["first", "scores"]


@dataclass(kw_only=True)
class Reranker:
    """The config of the stage."""

    version: ClassVar[int] = 1

    data: Mixture
    """Pairs with negatives (`trivet mine`), or tuples with a teacher's scores (`trivet score`)."""
    loss: BCE | Listwise | LambdaLoss
    """What the scores of a query's documents are judged by, all of its documents together."""
    optim: OptimizerConfig
    """The optimiser and its schedule."""
    fit: Fit
    """Batch (rows), steps, precision, checkpoints."""
    labels: Labels = "first"
    """What is right: the `first` document of each row and no other, or as the `scores` say."""
    ways: int | None = None
    """Documents of a row: the first, and others drawn by the seed; null is all."""
    lengths: dict[str, int] = field(default_factory=dict[str, int])
    """Content tokens of `query` and `document`, which also gets what its query leaves; what is not
    given stays as the parent has it."""
    lower: bool | None = None
    """Whether texts are made lower case before the tokenizer; null stays as the parent has it."""
    dropout: float | None = None
    """Of every layer and the head while training; null stays as the parent has it."""
    clean: Clean | None = None
    """Decontamination against the benches that will be reported."""
    dev: RerankDev | None = None
    """A dev bench to watch, and to stop early by."""
    seed: int = 0
    """Draws the head, documents of a row, dropout; orders the data."""

    def __post_init__(self) -> None:
        """Sides that there are, labels that the loss can use, counts that compare something."""
        check_sides(self.lengths, {})
        if self.ways is not None and self.ways < 2:
            raise ConfigError("must be at least 2, or null for all", where="ways")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise ConfigError("must be at least 0 and below 1", where="dropout")
        if self.labels == "first" and self.loss.scales:
            fix = "Set labels=scores, or leave it out"
            raise ConfigError("scales scores, and labels are 1 and 0", where="loss", fix=fix)
        needs_rows(self.data, "labels" if self.labels == "scores" else None)
        for source in self.data.sources:
            if source.prompts:
                what = f"{source.name} has prompts, and a cross-encoder reads none"
                raise ConfigError(what, where="data", fix="Leave prompts out of the source")

    def accept(self, has_parent: bool) -> None:
        """There must be an encoder."""
        needs_model(has_parent)

    def run(self, parent: Artifact | None, work: Work) -> Artifact:
        """Give the encoder a head, clean the data, train, save."""
        if parent is None:
            raise ConfigError("a parent is required", where=work.stage)
        model = made_cross(
            parent.path,
            seed=derive(self.seed, "head"),
            lengths=self.lengths,
            dropout=self.dropout,
            lower=self.lower,
        )
        tables = [source.open(work.run.cache) for source in self.data.sources]
        taught = self.loss if self.labels == "scores" else None
        for table in tables:  # all of their rows, before the first step
            check_rows(table, model.tokenizer, taught, self.ways)
        tables, report = self.clean(tables) if self.clean else (tables, None)
        batches = open_batches(self.data, tables, self.fit.batch, self.seed)
        _show(batches[0], model)
        trained = fit(
            model,
            batches,
            preparer(model, self.labels, self.ways, derive(self.seed, "ways")),
            lambda scores, labels: judge(self.loss, scores, labels),
            optim=self.optim,
            settings=self.fit,
            seed=self.seed,
            work=work,
            check=self.dev.check(model, work.run.machine) if self.dev else None,
        )
        facts = lineage(parent, batches.tables, report) | {"seed": self.seed, "training": trained}
        return work.save(lambda folder: save_cross(model, folder), facts)


def preparer(
    model: Cross, labels: Labels, ways: int | None, seed: int
) -> Callable[[Batch], Prepared]:
    """Rows to what the encoder reads: each query with each of its documents, a row's together."""

    def prepare(batch: Batch) -> Prepared:
        chosen = chosen_ways(batch, ways, seed)
        width = len(chosen[0])
        queries = [query for query in batch.queries for _ in range(width)]
        documents = [batch.documents[i][j] for i, row in enumerate(chosen) for j in row]
        right = torch.zeros(len(chosen), width)
        right[:, 0] = 1.0
        if labels == "scores":
            assert batch.scores is not None
            right = torch.tensor(
                [[batch.scores[i][j] for j in row] for i, row in enumerate(chosen)]
            )
        return Prepared(model.tokenizer(queries, documents).ids, right)

    return prepare


def judge(loss: BCE | Listwise | LambdaLoss, scores: Tensor, labels: Tensor) -> Tensor:
    """The loss of a batch's scores, (B n,), however they came about, by its labels, (B, n).

    A mean over rows, each rank's own: ranks hold as many rows, so their mean is that of all.
    """
    return loss(scores.view(labels.shape), labels.to(scores))


def _show(batch: Batch, model: Cross) -> None:
    """Log one decoded pair, so that lengths and casing can be seen."""
    ids = model.tokenizer(batch.queries[:1], batch.documents[0][:1]).ids[0][:, 0]
    shown = textwrap.shorten(model.tokenizer.inner.decode(ids), 240, placeholder=" …")
    log.info("a pair of %d tokens: %s", len(ids), shown)
