"""Stage `sae`: a sparse autoencoder of a frozen encoder's token vectors.

The dictionary that latent terms are counted by (https://arxiv.org/abs/2605.29384): it learns to
rebuild each token's last hidden state, and nothing about retrieval.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from trivet.core.artifact import Artifact
from trivet.core.errors import ConfigError
from trivet.core.ragged import Ragged, concatenate
from trivet.core.records import Batch
from trivet.core.run import Work
from trivet.core.seeds import derive
from trivet.data.mixture import Batches, Mixture
from trivet.models.latent import Latent, save_latent
from trivet.models.layout import load_dense
from trivet.models.lengths import read_longer
from trivet.models.packed import micro_batches
from trivet.models.sae import TopK
from trivet.optim.adamw import OptimizerConfig
from trivet.retrieval.learned import check_sides
from trivet.stages.clean import Clean
from trivet.stages.in_batch import show, texts_by_side
from trivet.stages.lineage import lineage
from trivet.stages.trained import needs_model, open_batches
from trivet.training.fit import fit
from trivet.training.settings import Fit, Prepared

_JUDGED = 16  # batches that the finished autoencoder is described by


@dataclass(kw_only=True)
class Sae:
    """The config of the stage."""

    version: ClassVar[int] = 2

    data: Mixture
    """Plain texts; of pairs and tuples all queries and all documents."""
    optim: OptimizerConfig
    """The optimiser and its schedule."""
    fit: Fit
    """Batch (rows; the tokens of all their texts make a step), steps, precision, checkpoints."""
    latents: int = 32768
    """The size of the dictionary."""
    k: int = 16
    """How many latents make up a token."""
    lengths: dict[str, int] | None = None
    """Content tokens of `query` and `document` from here on; null stays as the parent has it."""
    clean: Clean | None = None
    """Decontamination against the benches that will be reported."""
    seed: int = 0
    """Draws the dictionary and orders the data."""

    def __post_init__(self) -> None:
        """A dictionary that k latents can be taken from; sides that there are."""
        check_sides(self.lengths or {}, {})
        if not 1 <= self.k <= self.latents:
            raise ConfigError(f"must lie between 1 and the {self.latents} latents", where="k")

    def accept(self, has_parent: bool) -> None:
        """There must be an encoder."""
        needs_model(has_parent)

    def run(self, parent: Artifact | None, work: Work) -> Artifact:
        """Clean the data, train, describe, save with the encoder that it belongs to."""
        if parent is None:
            raise ConfigError("a parent is required", where=work.stage)
        machine = work.run.machine
        dense = load_dense(parent.path)
        read_longer(dense, self.lengths or {})
        sae = TopK(dense.dim, self.latents, self.k)
        sae.draw(derive(self.seed, "dictionary"))
        model = Latent(dense.encoder, sae, dense.tokenizer, budget=machine.micro_tokens).eval()
        tables = [source.open(work.run.cache) for source in self.data.sources]
        tables, report = self.clean(tables) if self.clean else (tables, None)
        batches = open_batches(self.data, tables, self.fit.batch, self.seed)
        show(batches[0], dense)
        prepare = preparer(model)
        model.to(machine.resolve())
        trained = fit(
            Rebuilt(model),
            batches,
            prepare,
            mean_error,
            optim=self.optim,
            settings=self.fit,
            seed=self.seed,
            work=work,
        )
        facts = lineage(parent, batches.tables, report) | {"seed": self.seed, "training": trained}
        facts["sae"] = {"latents": self.latents, "k": self.k, **judge(model, batches, prepare)}
        return work.save(lambda folder: save_latent(model.cpu(), folder), facts)


class Rebuilt(nn.Module):
    """An autoencoder before its encoder's hidden states; only the autoencoder is trained."""

    def __init__(self, model: Latent) -> None:
        """Train the autoencoder of `model` in place."""
        super().__init__()
        self.sae = model.sae
        self.frozen: Callable[[Ragged], Tensor] = model.hidden  # a method is no submodule

    def forward(self, tokens: Ragged) -> Ragged:
        """The squared error of each token, over its dimensions, (T, 1), text by text."""
        device = self.sae.center.device
        with torch.no_grad():
            hidden = self.frozen(tokens.to(device))  # (T, D)
        rebuilt = self.sae.decode(self.sae.encode(hidden))
        errors = (rebuilt - hidden).square().mean(1, keepdim=True)
        return Ragged(errors, tokens.offsets)


def preparer(model: Latent) -> Callable[[Batch], Prepared]:
    """Rows to token ids: all queries, then all documents."""

    def prepare(batch: Batch) -> Prepared:
        sides = [
            model.tokenizer(texts, side, batch.prompts.get(side)).ids
            for side, texts in texts_by_side(batch).items()
        ]
        return Prepared(concatenate(sides), None)

    return prepare


def mean_error(errors: Ragged, _: None) -> Tensor:
    """Of all tokens of a batch."""
    return errors.values.mean()


@torch.inference_mode()
def judge(
    model: Latent, batches: Batches, prepare: Callable[[Batch], Prepared]
) -> dict[str, float]:
    """How well the first batches' vectors are rebuilt, and how much of the dictionary is used.

    `fvu` is the share of their variance that is missing; `cosine` is of a vector and its
    rebuilding; `l0` counts latents above 0 in a token; `alive` is the share of latents seen at all.
    """
    squares, sums, errors, cosines, active, count = 0.0, torch.zeros(()), 0.0, 0.0, 0, 0
    seen = torch.zeros(model.vocabulary, dtype=torch.bool)
    for batch in itertools.islice((batches[i] for i in range(len(batches))), _JUDGED):
        tokens = prepare(batch).tokens
        for group in micro_batches(model.encoder, tokens.lengths, model.budget):
            hidden = model.hidden(tokens.select(group).to(model.device))
            found = model.sae.encode(hidden)
            rebuilt = model.sae.decode(found)
            squares += float(hidden.double().square().sum())
            sums = sums + hidden.double().sum(0).cpu()
            errors += float((rebuilt - hidden).double().square().sum())
            cosines += float(torch.cosine_similarity(rebuilt, hidden).sum())
            active += int((found.weights > 0).sum())
            seen[found.latents[found.weights > 0].cpu()] = True
            count += len(hidden)
    variance = squares - float(sums.square().sum()) / count
    return {
        "tokens": count,
        "fvu": errors / variance,
        "cosine": cosines / count,
        "l0": active / count,
        "alive": float(seen.float().mean()),
    }
