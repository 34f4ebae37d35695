"""What the contrastive stages share: pairs in, in-batch negatives from all ranks, a model out."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn

from trivet.core.artifact import Artifact
from trivet.core.errors import ConfigError
from trivet.core.ragged import Ragged
from trivet.core.run import Work
from trivet.data.mixture import Mixture
from trivet.losses.angle import Angle
from trivet.losses.cosent import Cosent
from trivet.losses.espresso import Espresso
from trivet.losses.infonce import InfoNCE
from trivet.losses.matryoshka import Matryoshka
from trivet.models.dense import Dense
from trivet.models.layout import load_dense, save_dense
from trivet.models.lengths import read_longer
from trivet.optim.adamw import OptimizerConfig
from trivet.retrieval.learned import check_sides
from trivet.stages.clean import Clean
from trivet.stages.dev import Dev
from trivet.stages.in_batch import Texts, judge, preparer, show
from trivet.stages.lineage import lineage
from trivet.stages.trained import needs_model, open_batches
from trivet.training.fit import fit
from trivet.training.gather import summed
from trivet.training.settings import Fit


@dataclass(kw_only=True)
class Contrastive:
    """The config of a stage that learns from which document answers which query."""

    data: Mixture
    """Pairs, from one source or many; with negatives where the loss wants them."""
    loss: InfoNCE | Angle | Cosent
    """What a query and its documents are judged by."""
    shorter: Matryoshka | Espresso | None = None
    """Fewer dimensions, or fewer layers too, that learn to be a model by themselves."""
    optim: OptimizerConfig
    """The optimiser and its schedule."""
    fit: Fit
    """Batch, steps, precision, checkpoints."""
    lengths: dict[str, int] = field(default_factory=dict[str, int])
    """Content tokens of `query` and `document` from here on; what is not given stays as it was."""
    clean: Clean | None = None
    """Decontamination against the benches that will be reported."""
    dev: Dev | None = None
    """A dev bench to watch, and to stop early by."""
    seed: int = 0
    """Orders the data and draws dropout."""

    def __post_init__(self) -> None:
        """Cross-field rules."""
        check_sides(self.lengths, {})
        if self.fit.batch < 2 and not isinstance(self.loss, Cosent):
            raise ConfigError("in-batch negatives need at least 2 rows", where="fit.batch")
        kind = "tuples" if isinstance(self.loss, Cosent) else "pairs"
        for source in self.data.sources:
            if source.kind != kind:
                fix = "Map columns to query and positive"
                if kind == "tuples":
                    fix = "Map columns to query, documents and scores"
                what = f"{source.name} holds {source.kind}, not {kind}"
                raise ConfigError(what, where="data", fix=fix)

    def accept(self, has_parent: bool) -> None:
        """There must be a model to train."""
        needs_model(has_parent)

    def run(self, parent: Artifact | None, work: Work) -> Artifact:
        """Load, clean the data, train, save."""
        if parent is None:
            raise ConfigError("a parent is required", where=work.stage)
        model = load_dense(parent.path, budget=work.run.machine.micro_tokens)
        read_longer(model, self.lengths)
        tables = [source.open(work.run.cache) for source in self.data.sources]
        tables, report = self.clean(tables) if self.clean else (tables, None)
        batches = open_batches(self.data, tables, self.fit.batch, self.seed)
        show(batches[0], model)

        def loss(vectors: Tensor, texts: Texts) -> Tensor:
            if self.shorter is None:
                return judge(self.loss, vectors, texts)
            if isinstance(self.shorter, Espresso):
                return self.shorter(lambda part: judge(self.loss, part, texts), vectors, summed)
            return self.shorter(lambda part: judge(self.loss, part, texts), vectors)

        trained = fit(
            _layers(model, self.shorter),
            batches,
            preparer(model),
            loss,
            optim=self.optim,
            settings=self.fit,
            seed=self.seed,
            work=work,
            check=self.dev.check(model, work.run.machine) if self.dev else None,
        )
        facts = lineage(parent, batches.tables, report) | {"seed": self.seed, "training": trained}
        return work.save(lambda folder: save_dense(model, folder), facts)


class _Layers(nn.Module):
    """A model that shows the vectors of several of its layers, (N, K, D)."""

    def __init__(self, model: Dense, layers: list[int]) -> None:
        super().__init__()
        self.model, self.layers = model, layers

    def forward(self, tokens: Ragged) -> Tensor:
        return self.model(tokens, self.layers)


def _layers(model: Dense, shorter: Matryoshka | Espresso | None) -> nn.Module:
    if not isinstance(shorter, Espresso):
        return model
    last = int(model.encoder.config.num_hidden_layers)
    if shorter.layers[-1] != last:
        fix = f"End the list with {last}"
        raise ConfigError(f"the model has {last} layers", where="shorter.layers", fix=fix)
    return _Layers(model, shorter.layers)
