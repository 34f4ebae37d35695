"""Stage 3, distillation: the student's vector of a text comes to lie where the teacher's lies.

The third stage of mxbai-edge-colbert-v0 (https://arxiv.org/abs/2510.14880, tables 14 and 15):
texts alone, queries and passages, and no relation between them. The teacher reads each text once.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

from torch import Tensor

from trivet.core.artifact import Artifact
from trivet.core.errors import ConfigError
from trivet.core.ragged import concatenate
from trivet.core.records import Batch
from trivet.core.run import Work
from trivet.core.schema import content
from trivet.core.seeds import derive
from trivet.data.mixture import Mixture
from trivet.losses.stella import Stella
from trivet.mining.teachers import Teacher
from trivet.mining.vectors import Taught, teach
from trivet.models.layout import load_dense, save_dense
from trivet.models.lengths import read_longer
from trivet.models.student import Head, Student
from trivet.optim.adamw import OptimizerConfig
from trivet.retrieval.learned import check_sides
from trivet.stages.clean import Clean
from trivet.stages.dev import Dev
from trivet.stages.in_batch import show, texts_by_side
from trivet.stages.lineage import lineage
from trivet.stages.trained import needs_model, open_batches
from trivet.training.fit import fit
from trivet.training.gather import gathered
from trivet.training.settings import Fit, Prepared


@runtime_checkable
class Loss(Protocol):
    """What a student's vectors are judged by."""

    def __call__(self, student: Tensor, teacher: Tensor) -> Tensor:
        """(B, D) and (B, D) to one number."""
        ...


@dataclass(kw_only=True)
class Distill:
    """The config of the stage."""

    version: ClassVar[int] = 1

    data: Mixture
    """Plain texts; of pairs and tuples all queries and all documents."""
    teacher: Teacher
    """Whose vectors are learned."""
    loss: Loss
    """The distance to them."""
    head: Head | None
    """From the student's dimensions to the teacher's, dropped afterwards; null where they agree."""
    optim: OptimizerConfig
    """The optimiser and its schedule."""
    fit: Fit
    """Batch (rows, not texts), steps, precision, checkpoints."""
    lengths: dict[str, int] = field(default_factory=dict[str, int])
    """The student's content tokens of `query` and `document` from here on; what is not given stays
    as it was."""
    clean: Clean | None = None
    """Decontamination against the benches that will be reported."""
    dev: Dev | None = None
    """A dev bench to watch, and to stop early by."""
    seed: int = 0
    """Orders the data, draws the head and dropout."""

    def __post_init__(self) -> None:
        """Sides that there are."""
        check_sides(self.lengths, {})

    def accept(self, has_parent: bool) -> None:
        """There must be a student."""
        needs_model(has_parent)

    def run(self, parent: Artifact | None, work: Work) -> Artifact:
        """Ask the teacher, clean the data, train, save the student without its head."""
        if parent is None:
            raise ConfigError("a parent is required", where=work.stage)
        tables = [source.open(work.run.cache) for source in self.data.sources]
        folder, machine = work.run.cache / "teacher", work.run.machine
        began = time.monotonic()
        taught = {table.name: teach(self.teacher, table, folder, machine) for table in tables}
        seconds = time.monotonic() - began
        tables, report = self.clean(tables) if self.clean else (tables, None)
        batches = open_batches(self.data, tables, self.fit.batch, self.seed)
        model = load_dense(parent.path, budget=machine.micro_tokens)
        read_longer(model, self.lengths)
        dim = taught[tables[0].name].dim
        student = Student(
            model,
            self.head,
            dim,
            normalize=self.teacher.normalize,
            seed=derive(self.seed, "head"),
            any_size=isinstance(self.loss, Stella) and not self.loss.cosine,
        )
        show(batches[0], model)

        def prepare(batch: Batch) -> Prepared:
            sides = [
                model.tokenizer(texts, side, batch.prompts.get(side)).ids
                for side, texts in texts_by_side(batch).items()
            ]
            return Prepared(concatenate(sides), taught[batch.source].of(batch))

        def loss(vectors: Tensor, targets: Tensor) -> Tensor:
            """Of all ranks' texts: some losses compare every text with every other."""
            return self.loss(gathered(vectors), gathered(targets.to(vectors.device)))

        trained = fit(
            student,
            batches,
            prepare,
            loss,
            optim=self.optim,
            settings=self.fit,
            seed=self.seed,
            work=work,
            check=self.dev.check(model, machine) if self.dev else None,
        )
        facts = lineage(parent, batches.tables, report)
        known = {*facts["in_domain"], *self.teacher.in_domain()}
        facts |= {"seed": self.seed, "training": trained, "in_domain": sorted(known)}
        facts["teacher"] = self._facts(taught, dim) | {"seconds": round(seconds, 1)}
        return work.save(lambda folder: save_dense(model, folder), facts)

    def _facts(self, taught: dict[str, Taught], dim: int) -> dict[str, Any]:
        """What the manifest says of the teacher."""
        truncated = {name: found.truncated() for name, found in taught.items()}
        return {"made_by": content(self.teacher), "dim": dim, "truncated": truncated}
