"""A dense retriever: one normalised vector a text.

Texts come in as Ragged token ids and are encoded in length-bucketed micro-batches, so that almost
no padding is computed; which rows share a micro-batch does not change their vectors.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trivet.core.buckets import buckets
from trivet.core.ragged import Ragged
from trivet.models.tokens import Tokenizer

Pooling = Literal["mean", "cls"]


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

    @property
    def dim(self) -> int:
        """The size of a vector."""
        return int(self.encoder.config.hidden_size)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def forward(self, tokens: Ragged) -> Tensor:
        """Vectors of N texts, (N, D), in the order given."""
        groups = buckets(tokens.lengths, self.budget)
        parts = [self._encode(tokens.select(group).to(self.device)) for group in groups]
        back = torch.argsort(torch.cat(groups)).to(self.device)
        return torch.cat(parts)[back]

    def _encode(self, tokens: Ragged) -> Tensor:
        ids, mask = tokens.pad(self.tokenizer.pad)  # (b, L), (b, L)
        full = bool(mask.all())
        hidden = self.encoder(
            input_ids=ids, attention_mask=None if full else mask.long()
        ).last_hidden_state  # (b, L, D)
        if self.pooling == "cls":
            pooled = hidden[:, 0]
        else:
            weights = mask.to(hidden.dtype) / mask.sum(1, keepdim=True)  # (b, L)
            pooled = torch.einsum("bl,bld->bd", weights, hidden)
        pooled = pooled.float()
        return F.normalize(pooled, dim=-1) if self.normalize else pooled
