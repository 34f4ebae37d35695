"""Heads as configs: one linear map, or several with more dimensions in between.

The shapes of Clavié et al., "Simple Projection Variants Improve ColBERT Performance"
(https://arxiv.org/abs/2510.12327), in PyLate's layers: every one of them loads there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import nn

from trivet.core.errors import ConfigError
from trivet.models.heads import Projection

Activation = Literal["identity", "relu", "gelu", "silu", "sigmoid"]
Init = Literal["default", "identity", "orthogonal"]
_FACTOR = 2.0  # arXiv 2510.12327: twice is best
_ACTIVATIONS = {
    "identity": nn.Identity,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "sigmoid": nn.Sigmoid,
}


@runtime_checkable
class TokenHead(Protocol):
    """Makes a map from hidden states to token vectors."""

    def make(self, inner: int) -> nn.Sequential:
        """The layers, for an encoder of `inner` dimensions."""
        ...


@dataclass
class FeedForward:
    """`depth` layers; all but the last are `factor` times as wide as the encoder."""

    dim: int
    """Dimensions of a token's vector."""
    depth: int = 1
    """Layers, 1 to 4; 1 is a linear map."""
    factor: float = _FACTOR
    """How wide the layers in between are, in the encoder's dimensions."""
    widths: list[int] | None = None
    """Their dimensions, instead of a factor: depth - 1 of them."""
    activation: Activation = "identity"
    """After each layer but the last."""
    gated: bool = False
    """Whether each layer but the last is a GLU: its activation is a gate's. Loads in PyLate only
    where trivet is installed."""
    residual: bool = False
    """Whether each layer but the last adds its input: mapped, where it changes the dimensions."""
    residual_init: Init = "default"
    """What such a map is at first."""
    scale: float | None = None
    """A learned number that what is added is multiplied by, at first this; null is none."""
    bias: bool = False
    """Whether each layer adds a constant."""
    dropout: float = 0.0
    """After each layer but the last, while training."""

    def __post_init__(self) -> None:
        """Sizes that are, settings that do something."""
        if not 1 <= self.depth <= 4:
            raise ConfigError("must lie between 1 and 4", where="depth")
        if self.widths is not None and len(self.widths) != self.depth - 1:
            what = f"must be {self.depth - 1}, of the layers in between"
            raise ConfigError(what, where="widths", fix="Set depth, or leave widths out")
        if any(size < 1 for size in (self.dim, *(self.widths or []))) or self.factor <= 0:
            raise ConfigError("must be above 0", where="dim")
        if not 0 <= self.dropout < 1:
            raise ConfigError("must be at least 0 and below 1", where="dropout")
        idle = {
            "activation": self.depth == 1 and self.activation != "identity",
            "residual": self.depth == 1 and self.residual,
            "gated": self.depth == 1 and self.gated,
            "dropout": self.depth == 1 and self.dropout > 0,
            "residual_init": not self.residual and self.residual_init != "default",
            "scale": not self.residual and self.scale is not None,
        }
        for name, useless in idle.items():
            if useless:
                what = "has no effect in a head of one layer or without a residual"
                raise ConfigError(what, where=name, fix="Set depth=2 and residual=true")
        if self.factor != _FACTOR and (self.depth == 1 or self.widths is not None):
            what = "has no effect in a head of one layer or beside widths"
            fix = "Set depth=2, and leave widths out"
            raise ConfigError(what, where="factor", fix=fix)

    def make(self, inner: int) -> nn.Sequential:
        """The layers, for an encoder of `inner` dimensions."""
        between = self.widths or [round(inner * self.factor)] * (self.depth - 1)
        if any(size < 1 for size in between):
            what = f"{self.factor:g} of the encoder's {inner} dimensions is less than one"
            raise ConfigError(what, where="head.factor", fix="Set head.factor=2")
        if self.dim > inner:
            what = f"{self.dim} dimensions are more than the encoder's {inner}"
            raise ConfigError(what, where="head.dim", fix=f"Take at most {inner}")
        sizes = [inner, *between]
        if self.residual_init != "default" and set(sizes) == {inner}:
            what = "has no effect where no residual changes the dimensions"
            raise ConfigError(what, where="head.residual_init", fix="Leave it out")
        layers = [self._layer(a, b) for a, b in zip(sizes, between, strict=False)]
        return nn.Sequential(*layers, Projection(sizes[-1], self.dim, bias=self.bias))

    def _layer(self, inner: int, outer: int) -> Projection:
        layer = Projection(
            inner,
            outer,
            bias=self.bias,
            activation=_ACTIVATIONS[self.activation](),
            residual=self.residual,
            gated=self.gated,
            scale=self.scale,
            dropout=self.dropout,
        )
        if layer.residual is not None and self.residual_init == "identity":
            nn.init.eye_(layer.residual.weight)
        if layer.residual is not None and self.residual_init == "orthogonal":
            nn.init.orthogonal_(layer.residual.weight)
        return layer


def draw(head: TokenHead, inner: int, seed: int) -> nn.Sequential:
    """Make a head with numbers of its own seed, without moving the run's generators."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return head.make(inner)
