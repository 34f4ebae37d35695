"""Stage 1, contrastive pretraining: query and document of a pair find each other in the batch.

The first stage of mxbai-edge-colbert-v0 (https://arxiv.org/abs/2510.14880, section 3.2): in-batch
InfoNCE, every batch from one source, sources one after another by default.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from trivet.core.artifact import Artifact
from trivet.core.errors import ConfigError
from trivet.core.ranks import rank, world
from trivet.core.run import Work
from trivet.core.seeds import derive
from trivet.data.mixture import Mixture
from trivet.losses.infonce import infonce
from trivet.models.layout import load_dense, save_dense
from trivet.optim.adamw import OptimizerConfig
from trivet.stages.clean import Clean
from trivet.stages.contrastive import Texts, in_batch, preparer, show
from trivet.stages.dev import Dev
from trivet.training.fit import fit
from trivet.training.settings import Fit


@dataclass(kw_only=True)
class Pretrain:
    """The config of the stage."""

    version: ClassVar[int] = 2

    data: Mixture
    """Pairs, from one source or many."""
    optim: OptimizerConfig
    """The optimiser and its schedule."""
    fit: Fit
    """Batch, steps, precision, checkpoints."""
    temperature: float = 0.02
    """Scores are divided by it before the softmax."""
    mask_false_negatives: bool = True
    """Documents known to answer a query are no negatives of it."""
    clean: Clean | None = None
    """Decontamination against the benches that will be reported."""
    dev: Dev | None = None
    """A dev bench to watch, and to stop early by."""
    seed: int = 0
    """Orders the data and draws dropout."""

    def __post_init__(self) -> None:
        """Cross-field rules."""
        if self.temperature <= 0:
            raise ConfigError("must be above 0", where="temperature", fix="Try temperature=0.02")
        if self.fit.batch < 2:
            raise ConfigError("in-batch negatives need at least 2 rows", where="fit.batch")

    def accept(self, has_parent: bool) -> None:
        """There must be a model to train."""
        if not has_parent:
            raise ConfigError(
                "there is no model to train", fix="Put a start before it, or set parent"
            )

    def run(self, parent: Artifact | None, work: Work) -> Artifact:
        """Load, clean the data, train, save."""
        if parent is None:
            raise ConfigError("a parent is required", where=work.stage)
        model = load_dense(parent.path, budget=work.run.machine.micro_tokens)
        tables = [source.open(work.run.cache) for source in self.data.sources]
        for table in tables:
            if table.kind != "pairs":
                fix = "Map columns to query and positive"
                raise ConfigError(f"{table.name} holds {table.kind}, not pairs", fix=fix)
        tables, report = self.clean(tables) if self.clean else (tables, None)
        batches = self.data.open(
            batch=self.fit.batch,
            seed=derive(self.seed, "data"),
            rank=rank(),
            world=world(),
            tables=tables,
        )
        show(batches[0], model)

        def loss(vectors: Tensor, texts: Texts) -> Tensor:
            batch = in_batch(vectors, texts)
            return infonce(
                batch.queries,
                batch.documents,
                positives=batch.positives,
                temperature=self.temperature,
                excluded=batch.excluded if self.mask_false_negatives else None,
            )

        check = self.dev.check(model, work.run.machine) if self.dev else None
        trained = fit(
            model,
            batches,
            preparer(model),
            loss,
            optim=self.optim,
            settings=self.fit,
            seed=self.seed,
            work=work,
            check=check,
        )
        facts = {
            "seed": self.seed,
            "training": trained,
            "trained_on": [table.name for table in tables],
            "rows": {table.name: len(table) for table in tables},
            "decontamination": report,
            "in_domain": sorted(report["in_domain"]) if report else [],
        }
        return work.save(lambda folder: save_dense(model, folder), facts)
