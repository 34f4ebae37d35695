"""AdamW: decoupled weight decay (https://arxiv.org/abs/1711.05101)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from torch.optim import Optimizer

from trivet.core.errors import ConfigError
from trivet.optim.schedule import Schedule


@runtime_checkable
class OptimizerConfig(Protocol):
    """Anything that makes an optimiser from named parameters, with a schedule."""

    schedule: Schedule

    def make(self, parameters: Iterable[tuple[str, torch.nn.Parameter]]) -> Optimizer:
        """Group the parameters and make the optimiser."""
        ...


@dataclass
class AdamW:
    """torch's AdamW; biases and norms are not decayed."""

    lr: float
    """The peak learning rate."""
    weight_decay: float = 0.01
    """Decay of weight matrices and embeddings."""
    beta1: float = 0.9
    """Decay of the gradient's mean."""
    beta2: float = 0.999
    """Decay of the gradient's square."""
    eps: float = 1e-8
    """Added to the root of the square."""
    schedule: Schedule = field(default_factory=Schedule)
    """How the rate rises and falls."""

    def __post_init__(self) -> None:
        """Refuse a rate that cannot train."""
        if self.lr <= 0:
            raise ConfigError("must be above 0", where="lr", fix="Try lr=2e-5")
        if self.weight_decay < 0:
            raise ConfigError("must not be negative", where="weight_decay")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError("must lie between 0 and 1, below it", where=name)
        if self.eps <= 0:
            raise ConfigError("must be above 0", where="eps")

    def make(self, parameters: Iterable[tuple[str, torch.nn.Parameter]]) -> Optimizer:
        """One group with decay (two dimensions or more), one without (biases, norms)."""
        trained = [parameter for _, parameter in parameters if parameter.requires_grad]
        groups = [
            {"params": [p for p in trained if p.ndim >= 2], "weight_decay": self.weight_decay},
            {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=self.lr,
            betas=(self.beta1, self.beta2),
            eps=self.eps,
            fused=True,
        )
