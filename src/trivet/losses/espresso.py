"""Espresso (2D Matryoshka): fewer layers and fewer dimensions are to be a good model by themselves.

Li et al., "ESE: Espresso Sentence Embeddings", https://arxiv.org/abs/2402.14776. With L the loss on
vectors of a layer and C its loss on their first values, the sum over layers l_1 < … < l_K is

    L(l_K) + C(l_K) + (1 / (K-1)) sum over k < K of C(l_k) / (1 + ln l_k)

C adds to the loss an alignment of the first values with a compression of the whole vectors, to
which no gradient flows: mean squared error, and T KL(softmax(target / T), softmax(values / T)).
The compression of rows V (N, D) is V U S, of the d leading components U S of the softmax over the
rows of V'V / sqrt D.

The terms and weights are those of https://github.com/SeanLee97/AnglE (its trainer for ESE), with
three choices of ours. It counts the embeddings as a first layer and leaves the last but one out;
here layers are named. It decomposes at random; here exactly, each component's largest value
positive, so that a target does not change its sign from batch to batch. It pools without
normalising; here vectors come as the model gives them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from trivet.core.errors import ConfigError
from trivet.losses.matryoshka import shortened


@dataclass
class Espresso:
    """Which layers and how many dimensions learn to stand alone."""

    layers: list[int]
    """Layers, counted from 1 and rising; the last is the model's last."""
    dim: int
    """Leading values that learn to stand for the whole vector."""
    compress: bool = True
    """Align them with a compression of the whole vector."""
    temperature: float = 1.0
    """Of the softmax in the alignment."""

    def __post_init__(self) -> None:
        """Two layers at least, in order."""
        if len(self.layers) < 2 or self.layers[0] < 1:
            fix = "Name one below the last, such as layers=[3,7]"
            raise ConfigError("must hold at least two layers from 1 on", where="layers", fix=fix)
        if any(a >= b for a, b in zip(self.layers, self.layers[1:], strict=False)):
            raise ConfigError("must rise", where="layers")
        if self.dim < 1:
            raise ConfigError("must be at least 1", where="dim")
        if self.temperature <= 0:
            raise ConfigError("must be above 0", where="temperature")

    def __call__(
        self,
        loss: Callable[[Tensor], Tensor],
        vectors: Tensor,
        whole: Callable[[Tensor], Tensor] = lambda own: own,
    ) -> Tensor:
        """The sum for vectors of the named layers (N, K, D), a scalar.

        `whole` adds up over the ranks what each has of V'V (D, D).
        """
        _, count, dim = vectors.shape
        if count != len(self.layers):
            what = f"vectors of {count} layers came, {len(self.layers)} are named"
            raise ConfigError(what, where="layers")
        if self.dim >= dim:
            raise ConfigError(f"must be below the {dim} of the whole vector", where="dim")
        vectors = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
        shallow, last = vectors[:, :-1].unbind(1), vectors[:, -1]  # (N, D) each
        total = loss(last) + self._short(loss, last, whole)
        for layer, rows in zip(self.layers, shallow, strict=False):
            weight = 1 / (1 + math.log(layer)) / len(shallow)
            total = total + weight * self._short(loss, rows, whole)
        return total

    def _short(
        self,
        loss: Callable[[Tensor], Tensor],
        vectors: Tensor,
        whole: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """The loss on the first values of vectors (N, D), and their alignment."""
        total = loss(shortened(vectors, self.dim))
        if self.compress:
            target = compressed(vectors, self.dim, whole)
            total = total + alignment(vectors[:, : self.dim], target, self.temperature)
        return total


@torch.no_grad()
def compressed(
    vectors: Tensor, dim: int, whole: Callable[[Tensor], Tensor] = lambda own: own
) -> Tensor:
    """(N, d), vectors (N, D) on the leading components of their attention over dimensions."""
    mixed = (whole(vectors.T @ vectors) / vectors.shape[-1] ** 0.5).softmax(-1)  # (D, D)
    directions, sizes, _ = torch.linalg.svd(mixed)  # (D, D), (D,)
    directions = directions[:, :dim]  # (D, d)
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))  # (1, d)
    return vectors @ (directions * largest.sign() * sizes[:dim])


def alignment(values: Tensor, target: Tensor, temperature: float) -> Tensor:
    """How far values (N, d) are from a target (N, d): squared error and divergence, a scalar."""
    logs = F.log_softmax(values / temperature, dim=-1)
    wanted = F.log_softmax(target / temperature, dim=-1)
    divergence = F.kl_div(logs, wanted, reduction="batchmean", log_target=True)
    return F.mse_loss(values, target) + temperature * divergence
