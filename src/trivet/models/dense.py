"""A dense retriever: one normalised vector a text.

Texts come in as Ragged token ids and are encoded in length-bucketed micro-batches, so that almost
no padding is computed; which rows share a micro-batch does not change their vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trivet.core.buckets import buckets
from trivet.core.errors import ConfigError
from trivet.core.ragged import Ragged
from trivet.models.tokens import Tokenizer

Pooling = Literal["mean", "cls", "last"]


class Dense(nn.Module):
    """Encoder, pooling and normalisation."""

    def __init__(
        self,
        encoder: Any,
        tokenizer: Tokenizer,
        *,
        pooling: Pooling = "mean",
        normalize: bool = True,
        budget: int = 8192,
    ) -> None:
        """`budget`: padded tokens per micro-batch."""
        super().__init__()
        self.encoder, self.tokenizer = encoder, tokenizer
        self.pooling: Pooling = pooling
        self.normalize, self.budget = normalize, budget
        if pooling == "last":
            encoder.config.use_cache = False  # a decoder would keep the keys and values of a text

    @property
    def dim(self) -> int:
        """The size of a vector."""
        return int(self.encoder.config.hidden_size)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def forward(self, tokens: Ragged, layers: Sequence[int] | None = None) -> Tensor:
        """Vectors of N texts, (N, D), in the order given.

        With `layers`, (N, K, D): one vector for each named layer, counted from 1, as a model cut
        to so many layers gives it. An encoder with a norm after its last layer, as ModernBERT has
        one, passes every named layer through that norm.
        """
        count = int(getattr(self.encoder.config, "num_hidden_layers", 0))
        if layers is not None and not (layers and min(layers) >= 1 and max(layers) <= count):
            raise ConfigError(f"must lie between 1 and {count}", where="layers")
        groups = buckets(tokens.lengths, self.budget)
        parts = [self._encode(tokens.select(group).to(self.device), layers) for group in groups]
        back = torch.argsort(torch.cat(groups)).to(self.device)
        return torch.cat(parts)[back]

    def _encode(self, tokens: Ragged, layers: Sequence[int] | None) -> Tensor:
        ids, mask = tokens.pad(self.tokenizer.pad)  # (b, L), (b, L)
        attended = None if bool(mask.all()) else mask.long()
        if layers is None:
            out = self.encoder(input_ids=ids, attention_mask=attended)
            return self._pool(out.last_hidden_state, mask)
        out = self.encoder(input_ids=ids, attention_mask=attended, output_hidden_states=True)
        states = out.hidden_states  # the embeddings and each layer, the last one normed already
        norms = (getattr(self.encoder, name, None) for name in ("final_norm", "norm"))
        norm = next(filter(None, norms), nn.Identity())
        named = [states[i] if i == len(states) - 1 else norm(states[i]) for i in layers]
        return torch.stack([self._pool(hidden, mask) for hidden in named], dim=1)  # (b, K, D)

    def _pool(self, hidden: Tensor, mask: Tensor) -> Tensor:
        pooled = pool(hidden, mask, self.pooling).float()
        return F.normalize(pooled, dim=-1) if self.normalize else pooled


def pool(hidden: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """(b, D) from token vectors (b, L, D) and the tokens that are there (b, L)."""
    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "last":
        last = mask.sum(1)[:, None, None] - 1  # (b, 1, 1)
        return hidden.gather(1, last.expand(-1, -1, hidden.shape[-1]))[:, 0]
    weights = mask.to(hidden.dtype) / mask.sum(1, keepdim=True)  # (b, L)
    return torch.einsum("bl,bld->bd", weights, hidden)
