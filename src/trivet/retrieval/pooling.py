"""Fewer vectors a document: tokens of like meaning become their mean.

Clavié, Chaffin and Adams, "Reducing the Footprint of Multi-Vector Retrieval with Minimal
Performance Impact via Token Pooling", https://arxiv.org/abs/2409.14683. A document is pooled by
itself, so what is pooled beside it changes nothing. Means are shorter than one, and stay so, as
PyLate leaves them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from trivet.core.errors import ConfigError
from trivet.core.ragged import Ragged


@dataclass(frozen=True)
class Pooling:
    """How many vectors of a document are left, and which tokens become one."""

    factor: int = 1
    """One vector for so many tokens; 1 leaves all."""
    budget: int | None = None
    """At most so many vectors a document, the protected ones among them; null sets no bound."""
    protect: int = 1
    """Tokens at a document's start that stay as they are."""
    linkage: Literal["ward", "average"] = "ward"
    """How the distance of two clusters is told from the cosines of their tokens."""

    def __post_init__(self) -> None:
        """Refuse counts that leave nothing."""
        if self.factor < 1:
            raise ConfigError("must be at least 1", where="factor")
        if self.protect < 0:
            raise ConfigError("must be at least 0", where="protect")
        if self.budget is not None and self.budget <= self.protect:
            what = f"{self.budget} vectors leave none beside {self.protect} protected"
            raise ConfigError(what, where="budget", fix=f"Set at least {self.protect + 1}")

    @property
    def active(self) -> bool:
        """Whether any document can lose a vector."""
        return self.factor > 1 or self.budget is not None

    def clusters(self, tokens: int) -> int:
        """How many vectors so many unprotected tokens may become."""
        count = max(tokens // self.factor, 1)
        return count if self.budget is None else min(count, self.budget - self.protect)

    def bag(self, vectors: Tensor) -> Tensor:
        """One document's (T, D) normalised vectors, pooled; protected ones come first."""
        first, rest = vectors[: self.protect], vectors[self.protect :]
        count = self.clusters(len(rest))
        if count >= len(rest):
            return vectors
        labels = self._labels(rest, count)
        sums = rest.new_zeros(int(labels.max()) + 1, rest.shape[1]).index_add_(0, labels, rest)
        return torch.cat([first, sums / torch.bincount(labels)[:, None]])

    def bags(self, documents: Ragged) -> Ragged:
        """Each document, pooled."""
        if not self.active or len(documents) == 0:
            return documents
        return Ragged.of([self.bag(vectors) for vectors in documents])

    def _labels(self, vectors: Tensor, count: int) -> Tensor:
        """Each token's cluster, (T,) from 0; of equally distant pairs none is torn apart."""
        from scipy.cluster.hierarchy import fcluster, linkage
        from scipy.spatial.distance import squareform

        far = (1 - vectors @ vectors.T).clamp(min=0)  # (T, T); rounding may go below 0
        tree = linkage(squareform(far.numpy(), checks=False), method=self.linkage)
        labels = fcluster(tree, t=count, criterion="maxclust")
        return torch.from_numpy(labels.astype(np.int64) - 1)
