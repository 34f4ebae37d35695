"""How long and how carefully to train: the settings that every stage shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trivet.core.errors import ConfigError
from trivet.core.machine import Precision
from trivet.core.ragged import Ragged
from trivet.core.schema import unkeyed


@dataclass
class Fit:
    """Batches, steps, precision, checkpoints."""

    batch: int
    """Rows per optimiser micro-step, over all ranks."""
    precision: Precision
    """`bf16` (autocast; weights and scores stay fp32) or `fp32`; there is no silent choice."""
    steps: int | None = None
    """Stop after so many optimiser steps; null trains on all of the data."""
    accumulate: int = 1
    """Batches whose gradients are averaged before a step."""
    cached: bool = unkeyed(False)
    """GradCache: hold the activations of one micro-batch only, and encode each text twice."""
    clip: float = 1.0
    """The largest gradient norm; 0 clips nothing."""
    one_batch: bool = False
    """Train on the first batch over and over: a model that cannot learn it has a bug."""
    log_every: int = unkeyed(10)
    """Steps between lines in metrics.jsonl."""
    save_every: int = unkeyed(500)
    """Steps between checkpoints."""
    keep: int = unkeyed(2)
    """Checkpoints kept."""

    def __post_init__(self) -> None:
        """Refuse counts that train nothing."""
        for name in ("batch", "accumulate", "log_every", "save_every", "keep"):
            if getattr(self, name) < 1:
                raise ConfigError("must be at least 1", where=name)
        if self.steps is not None and self.steps < 1:
            raise ConfigError("must be at least 1, or null for all of the data", where="steps")
        if self.clip < 0:
            raise ConfigError("must not be negative", where="clip", fix="0 clips nothing")


@dataclass(frozen=True)
class Prepared:
    """A batch on its way into training: what the model encodes, and what the loss needs besides."""

    tokens: Ragged  # N rows of token ids
    targets: Any


@dataclass
class Check:
    """A measurement on a dev bench while training: handed in by the stage, so that training knows
    nothing of benches."""

    measure: Callable[[], dict[str, float]]
    metric: str
    every: int
    patience: int | None


def refuse_sharing(settings: Fit, optim: object, stage: str) -> None:
    """Refuse what cannot be trained by ranks that share the weights (`machine.shard`)."""
    if not settings.cached:
        fix = f"Set stages.{stage}.fit.cached=true"
        raise ConfigError("needs fit.cached", where="machine.shard", fix=fix)
    if getattr(optim, "whole", False):
        fix = f"Set machine.shard=false, or optim@stages.{stage}.optim=adamw"
        what = "needs whole matrices on every rank"
        raise ConfigError(what, where=f"stages.{stage}.optim", fix=fix)
