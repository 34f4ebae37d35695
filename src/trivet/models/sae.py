"""A sparse autoencoder: a vector as the sum of a few out of many directions.

Top-K in the form of Gao et al., "Scaling and evaluating sparse autoencoders"
(https://arxiv.org/abs/2406.04093): the k directions with the largest products are kept, and a
product that is not above 0 counts as 0. Rebuilding a vector reads only the rows of its own
directions, and so do the gradients: nothing as wide as the dictionary is held for the way back.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trivet.core.errors import ConfigError
from trivet.models.products import largest, weigh


class Active(NamedTuple):
    """What a vector is made of."""

    latents: Tensor  # (T, m) which directions
    weights: Tensor  # (T, m) how much of each, 0 or above


class TopK(nn.Module):
    """A dictionary of directions, k of which make up a vector."""

    kind: ClassVar[str] = "topk"
    bias: Tensor | None  # (M,) added to products: trained by others, never here

    def __init__(self, dim: int, latents: int, k: int) -> None:
        """`latents` directions in `dim` dimensions."""
        super().__init__()
        if not 1 <= k <= latents:
            raise ConfigError(f"must lie between 1 and the {latents} latents", where="k")
        self.k = k
        self.decoder = nn.Parameter(torch.empty(latents, dim))  # a row a direction
        self.encoder = nn.Parameter(torch.empty(latents, dim))
        self.center = nn.Parameter(torch.zeros(dim))
        self.register_buffer("bias", None)

    def draw(self, seed: int, *, unit: bool = False) -> None:
        """Draw the decoder, of `unit` rows or not; the encoder begins as its transpose."""
        generator = torch.Generator().manual_seed(seed)
        # fan-in of a map from latents to dimensions, as Kaiming et al. count it
        nn.init.kaiming_uniform_(self.decoder.data.T, generator=generator)
        if unit:
            self.to_unit()
        self.encoder.data.copy_(self.decoder.data)

    @torch.no_grad()
    def to_unit(self) -> None:
        """Give each direction length 1."""
        self.decoder.div_(self.decoder.norm(dim=1, keepdim=True).clamp_(min=1e-12))

    @property
    def latents(self) -> int:
        """How many directions there are."""
        return len(self.decoder)

    @property
    def shape(self) -> dict[str, Any]:
        """What makes an empty one like this."""
        return {"kind": self.kind, "dim": self.decoder.shape[1], "latents": self.latents,
                "k": self.k}  # fmt: skip

    def settle(self, vectors: Tensor) -> None:
        """Begin with what some vectors tell; nothing here."""

    def encode(self, vectors: Tensor) -> Active:
        """The k largest products of each of T vectors, (T, D), with their gradient."""
        centred = vectors - self.center
        chosen, products = largest(centred, self.encoder, self.k, self.bias)
        return Active(chosen, weigh(centred, self.encoder, chosen, products).relu())

    def read(self, vectors: Tensor) -> tuple[Active, Tensor]:
        """What vectors are made of, and what that costs beside the error of rebuilding."""
        return self.encode(vectors), vectors.new_zeros(())

    def decode(self, active: Active) -> Tensor:
        """The vectors that these directions make, (T, D)."""
        summed = F.embedding_bag(
            active.latents, self.decoder, per_sample_weights=active.weights, mode="sum"
        )
        return summed + self.center
