"""Stage `sae`: a sparse autoencoder of a frozen encoder's token vectors.

The dictionary that latent terms are counted by (https://arxiv.org/abs/2605.29384): it learns to
rebuild each token's last hidden state, and nothing about retrieval.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from trivet.core.artifact import Artifact
from trivet.core.errors import ConfigError, DataError
from trivet.core.layers import fast_layers
from trivet.core.machine import Precision
from trivet.core.memory import halving
from trivet.core.ragged import Ragged, concatenate
from trivet.core.ranks import world
from trivet.core.records import Batch
from trivet.core.run import Work
from trivet.core.seeds import derive
from trivet.data.mixture import Batches, Mixture
from trivet.mining.activations import Activations, store
from trivet.mining.shuffled import Shuffled
from trivet.models.dense import Dense
from trivet.models.latent import Latent, load_encoder, save_latent
from trivet.models.lengths import read_longer
from trivet.models.packed import micro_batches
from trivet.models.sae_judge import judge
from trivet.models.sae_jump_relu import JumpReLU
from trivet.models.sae_kinds import Kind, empty
from trivet.models.sae_training import Rebuilt
from trivet.optim.adamw import OptimizerConfig
from trivet.retrieval.learned import check_sides
from trivet.stages.clean import Clean
from trivet.stages.in_batch import show, texts_by_side
from trivet.stages.lineage import lineage
from trivet.stages.trained import needs_model, open_batches
from trivet.training.fit import fit
from trivet.training.gather import summed
from trivet.training.settings import Fit, Prepared

log = logging.getLogger("trivet")
_JUDGED = 16  # batches that the finished autoencoder is described by
_FIRST = 4  # batches that a beginning is read off


@dataclass(kw_only=True)
class Sae:
    """The config of the stage."""

    version: ClassVar[int] = 3

    data: Mixture
    """Plain texts; of pairs and tuples all queries and all documents."""
    optim: OptimizerConfig
    """The optimiser and its schedule."""
    fit: Fit
    """Batch (rows; the tokens of all their texts make a step), steps, precision, checkpoints."""
    latents: int = 32768
    """The size of the dictionary."""
    k: int = 16
    """How many latents make up a token; of batch_topk and jump_relu on average."""
    activations: Literal["streamed", "stored"] = "streamed"
    """streamed: texts are encoded as they are needed; stored: once, and kept in 16 bits on disk."""
    buffer: int = 8
    """Batches whose tokens are shuffled together; 1 leaves all tokens of a text in one step."""
    kind: Kind = "topk"
    """topk: k of each token; batch_topk: the largest of all tokens of a micro-batch, a threshold
    afterwards; jump_relu: what lies above a latent's own threshold."""
    widths: list[int] = field(default_factory=list[int])
    """Matryoshka: so many of the first latents must rebuild tokens alone, too."""
    aux_k: int = 0
    """AuxK: dead latents that learn to rebuild what the others leave over; 0 is none."""
    dead_after: int = 10_000_000
    """Tokens in which a latent was not seen that make it dead."""
    unit_norm: bool = False
    """Whether directions have length 1 at every step."""
    center: Literal["zero", "mean"] = "zero"
    """Where the pre-bias begins: at 0, or at the mean of the first batches' vectors."""
    pressure: float = 1.0
    """Of jump_relu: what (latents a token / k - 1) squared weighs beside the missing variance."""
    lengths: dict[str, int] | None = None
    """Content tokens of `query` and `document` from here on; null stays as the parent has it."""
    clean: Clean | None = None
    """Decontamination against the benches that will be reported."""
    seed: int = 0
    """Draws the dictionary and orders the data."""

    def __post_init__(self) -> None:
        """A dictionary that k latents can be taken from; sides that there are."""
        check_sides(self.lengths or {}, {})
        if self.latents < 1:
            raise ConfigError("must be at least 1", where="latents")
        if not 1 <= self.k <= self.latents:
            raise ConfigError(f"must lie between 1 and the {self.latents} latents", where="k")
        if any(not 1 <= width < self.latents for width in self.widths):
            what = f"must lie above 0 and below the {self.latents} latents"
            raise ConfigError(what, where="widths")
        if len(set(self.widths)) < len(self.widths):
            raise ConfigError("names a width twice", where="widths")
        if self.aux_k > self.latents:
            raise ConfigError(f"is more than the {self.latents} latents", where="aux_k")
        if self.buffer < 1:
            raise ConfigError("must be at least 1", where="buffer")
        for name in ("aux_k", "dead_after", "pressure"):
            if getattr(self, name) < 0:
                raise ConfigError("must not be negative", where=name)
        if self.pressure != 1.0 and self.kind != "jump_relu":
            raise ConfigError(f"means nothing to {self.kind}", where="pressure", fix="Leave it out")

    def accept(self, has_parent: bool) -> None:
        """There must be an encoder."""
        needs_model(has_parent)

    def run(self, parent: Artifact | None, work: Work) -> Artifact:
        """Clean the data, train, describe, save with the encoder that it belongs to."""
        if parent is None:
            raise ConfigError("a parent is required", where=work.stage)
        machine = work.run.machine
        dense = load_encoder(parent.path)
        read_longer(dense, self.lengths or {})
        sae = empty({"kind": self.kind, "dim": dense.dim, "latents": self.latents, "k": self.k})
        sae.draw(derive(self.seed, "dictionary"), unit=self.unit_norm)
        if isinstance(sae, JumpReLU):
            sae.pressure = self.pressure
        model = Latent(dense.encoder, sae, dense.tokenizer, budget=machine.micro_tokens).eval()
        model.to(machine.resolve())
        tables = [source.open(work.run.cache) for source in self.data.sources]
        kept: dict[str, Activations] | None = None
        if self.activations == "stored":
            folder = work.run.cache / "activations"
            kept = {table.name: store(model, table, folder, self.fit.precision) for table in tables}
        tables, report = self.clean(tables) if self.clean else (tables, None)
        batches = open_batches(self.data, tables, self.fit.batch, self.seed)
        show(batches[0], dense)
        self._warn(batches, dense)
        states = encoding(model, self.fit.precision) if kept is None else reader(kept)
        everything = self.data.open(batch=self.fit.batch, seed=batches.seed, tables=batches.tables)
        self._begin(model, first_batches(everything, states, _FIRST))
        shuffled = Shuffled(batches, states, self.buffer, self.seed)
        rebuilt = Rebuilt(model, widths=self.widths, aux_k=self.aux_k,
                          dead_after=self.dead_after, unit=self.unit_norm)  # fmt: skip
        trained = fit(
            rebuilt,
            shuffled,
            lambda batch: Prepared(shuffled.deal(batch), None),
            mean_error,
            optim=self.optim,
            settings=self.fit,
            seed=self.seed,
            work=work,
            report=rebuilt.report,
        )
        if self.unit_norm:
            sae.to_unit()
        facts = lineage(parent, batches.tables, report) | {"seed": self.seed, "training": trained}
        found = judge(model.eval(), first_batches(everything, states, _JUDGED))
        facts["sae"] = {**sae.shape, **found}
        return work.save(lambda folder: save_latent(model.cpu(), folder), facts)

    def _warn(self, batches: Batches, dense: Dense) -> None:
        """Say so where AuxK cannot do anything."""
        first = texts_by_side(batches[0])
        tokens = sum(len(texts) * dense.tokenizer.total(side) for side, texts in first.items())
        most = tokens * min(self.fit.steps or len(batches), len(batches)) * self.fit.accumulate
        if self.aux_k and most < self.dead_after:
            log.warning("aux_k does nothing: a latent is dead after %s tokens without it "
                        "(dead_after), and there are at most %s",
                        f"{self.dead_after:,}", f"{most:,}")  # fmt: skip

    @torch.inference_mode()
    def _begin(self, model: Latent, batches: Iterable[Ragged]) -> None:
        """What is read off some vectors before a step is made."""
        if self.center == "zero" and not isinstance(model.sae, JumpReLU):
            return
        groups = (
            tokens.select(group)
            for tokens in batches
            for group in micro_batches(model.encoder, tokens.lengths, model.budget)
        )
        vectors = torch.cat([model.hidden(own.to(model.device)) for own in groups])
        if self.center == "mean":
            model.sae.center.data.copy_(vectors.mean(0))
        model.sae.settle(vectors)


def first_batches(
    batches: Batches, states: Callable[[Batch], Ragged], count: int
) -> Iterator[Ragged]:
    """Hidden states of the first few batches, those of all ranks."""
    for step in range(min(count, len(batches))):
        yield states(batches[step])


def encoding(model: Latent, precision: Precision) -> Callable[[Batch], Ragged]:
    """Rows to the hidden states of their tokens: all queries', then all documents'."""

    @torch.no_grad()
    def encode(batch: Batch) -> Ragged:
        sides = [
            model.tokenizer(texts, side, batch.prompts.get(side)).ids
            for side, texts in texts_by_side(batch).items()
        ]
        ids = concatenate(sides)
        low = torch.autocast(model.device.type, torch.bfloat16, enabled=precision == "bf16")
        with low, fast_layers(learning=model.device.type == "cpu"):
            states, _ = halving(
                lambda size: model.states(ids, size, torch.float32), model.budget, batch.source
            )
        if not bool(states.values.isfinite().all()):
            fix = "Look at the model's weights"
            raise DataError("hidden states are not finite numbers", where=batch.source, fix=fix)
        return states

    return encode


def reader(kept: dict[str, Activations]) -> Callable[[Batch], Ragged]:
    """The same, as they were stored."""
    return lambda batch: kept[batch.source].of(batch)


def mean_error(errors: Ragged, _: None) -> Tensor:
    """Of all tokens of a batch, on whichever rank: gradients are averaged over the ranks."""
    own = errors.values  # (T, 1)
    count = summed(torch.tensor(float(len(own)), device=own.device))
    return own.sum() * (world() / count)
