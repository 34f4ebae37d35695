"""AnglE: triplets by contrast, and by an angle whose gradient stays where a cosine's vanishes.

Li and Li, "AnglE-optimized Text Embeddings", https://arxiv.org/abs/2309.12871. The two halves of a
vector are the real and the imaginary parts of D/2 complex numbers; the angle score of a pair is
made from their quotients, and pairs are ranked by it as CoSENT ranks them by cosines.

The sum of the terms is that of https://github.com/SeanLee97/AnglE for a query with a positive and a
negative: the two contrastive terms share one scale and are halved. Its code knows one negative a
query; here there may be any number, and a query with each of its documents is a pair to be ranked.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from trivet.core.errors import ConfigError
from trivet.losses.cosent import cosent


def angle_scores(left: Tensor, right: Tensor) -> Tensor:
    """(P,), the angle score of each pair of rows (P, D), in [0, sqrt 2]; D is even.

    The quotient of two complex numbers, times |w| / |z| of the whole vectors z and w, summed over
    all dimensions, real and imaginary alike, and taken absolute.
    """
    if left.shape[-1] % 2:
        what = f"the angle needs vectors with two halves, and {left.shape[-1]} is odd"
        raise ConfigError(what, fix="Use an even number of dimensions, or angle_w=0")
    left, right = _precise(left), _precise(right)
    a, b = left.chunk(2, -1)  # (P, D/2) each: z = a + ib
    c, d = right.chunk(2, -1)  # (P, D/2) each: w = c + id
    real, imaginary = a * c + b * d, b * c - a * d  # z / w, times |w|^2
    return (real + imaginary).sum(-1).abs()


def angle(left: Tensor, right: Tensor, labels: Tensor, *, tau: float = 20.0) -> Tensor:
    """The ranking loss over angle scores, a scalar.

    Args:
        left: (P, D), one side of each pair; need not be normalised.
        right: (P, D), the other side.
        labels: (P,), higher where a pair is closer; only their order counts.
        tau: scores are multiplied by it.
    """
    return cosent(angle_scores(left, right), labels, tau=tau)


@dataclass
class Angle:
    """The config of the loss over a query, its positive and its negatives."""

    ibn_w: float = 1.0
    """Weight of a query against the positives of the batch."""
    cln_w: float = 1.0
    """Weight of a query against all positives and all negatives."""
    angle_w: float = 0.02
    """Weight of the angle: a query's positive ranked above all negatives."""
    cosine_w: float = 0.0
    """Weight of CoSENT: as the angle, with cosines."""
    ibn_tau: float = 20.0
    """Cosines of both contrastive terms are multiplied by it; 20 is a temperature of 0.05."""
    angle_tau: float = 20.0
    """Angle scores are multiplied by it."""
    cosine_tau: float = 20.0
    """CoSENT's cosines are multiplied by it."""

    def __post_init__(self) -> None:
        """Weights that weigh, scales that order."""
        weights = ("ibn_w", "cln_w", "angle_w", "cosine_w")
        for name in weights:
            if getattr(self, name) < 0:
                raise ConfigError("must not be below 0", where=name)
        if not any(getattr(self, name) for name in weights):
            raise ConfigError("no term has a weight", where="ibn_w", fix="Try ibn_w=1")
        for name in ("ibn_tau", "angle_tau", "cosine_tau"):
            if getattr(self, name) <= 0:
                raise ConfigError("must be above 0", where=name, fix=f"Try {name}=20")

    def __call__(self, queries: Tensor, documents: Tensor, others: Tensor | None = None) -> Tensor:
        """The weighted sum, a scalar.

        Args:
            queries: (B, D).
            documents: (B, 1+n, D), a query's positive first, then its n negatives.
            others: (M, D), more documents of the batch, such as other ranks'; negatives of every
                query in the term that `ibn_w` weighs.
        """
        queries, documents = _precise(queries), _precise(documents)
        size, each, dim = documents.shape
        if each == 1:
            for name in ("cln_w", "angle_w", "cosine_w"):
                if getattr(self, name):
                    fix = f"Set {name}=0, or give negatives"
                    raise ConfigError("this term needs negatives", where=name, fix=fix)
        positives, negatives = documents[:, 0], documents[:, 1:].reshape(-1, dim)  # (B, D), (Bn, D)
        loss = queries.new_zeros(())
        if self.ibn_w:
            further = [] if others is None else [_precise(others)]
            batch = torch.cat([positives, *further])  # (B + M, D)
            loss = loss + self.ibn_w / 2 * self._contrast(queries, batch)
        if self.cln_w:
            batch = torch.cat([positives, negatives])  # (B + Bn, D)
            loss = loss + self.cln_w / 2 * self._contrast(queries, batch)
        if self.angle_w or self.cosine_w:
            labels = torch.zeros(size, each, device=queries.device)
            labels[:, 0] = 1  # (B, 1+n)
            left = queries[:, None].expand(-1, each, -1).reshape(-1, dim)  # (B(1+n), D)
            right, labels = documents.reshape(-1, dim), labels.reshape(-1)
            if self.angle_w:
                loss = loss + self.angle_w * angle(left, right, labels, tau=self.angle_tau)
            if self.cosine_w:
                cosines = (left * right).sum(-1)  # (B(1+n),)
                loss = loss + self.cosine_w * cosent(cosines, labels, tau=self.cosine_tau)
        return loss

    def _contrast(self, queries: Tensor, batch: Tensor) -> Tensor:
        own = torch.arange(len(queries), device=queries.device)
        return F.cross_entropy(queries @ batch.T * self.ibn_tau, own)


def _precise(vectors: Tensor) -> Tensor:
    """Normalised, in fp32 or better."""
    dtype = torch.promote_types(vectors.dtype, torch.float32)
    return F.normalize(vectors.to(dtype), dim=-1)
