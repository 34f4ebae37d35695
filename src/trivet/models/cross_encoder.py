"""A reranker: query and document are read together, and the pair gets one number.

Nogueira and Cho, "Passage Re-ranking with BERT", https://arxiv.org/abs/1901.04085. The head is the
one that transformers gives an encoder for classification, with one label, so that the model loads
wherever cross-encoders do.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from trivet.core.ragged import Ragged
from trivet.models.layout import position_limit
from trivet.models.pair_tokens import PairTokenizer


class Cross(nn.Module):
    """An encoder with a head of one label."""

    def __init__(self, model: Any, tokenizer: PairTokenizer) -> None:
        """`model`: one of transformers' for sequence classification."""
        super().__init__()
        self.model, self.tokenizer = model, tokenizer

    def forward(self, pairs: Ragged) -> Tensor:
        """Scores of rows of (T, 2), a token and its segment: (N,), in fp32 or more."""
        columns, mask = pairs.to(self.model.device).pad(0)  # (N, L, 2), (N, L)
        inputs = {"input_ids": columns[..., 0].masked_fill(~mask, self.tokenizer.pad)}
        if has_segments(self.model):
            inputs["token_type_ids"] = columns[..., 1]
        attended = None if bool(mask.all()) else mask.long()
        scores = self.model(**inputs, attention_mask=attended).logits[:, 0]
        return scores.to(torch.promote_types(scores.dtype, torch.float32))


def has_segments(model: Any) -> bool:
    """Whether an encoder is told which of two texts a token is of."""
    return int(getattr(model.config, "type_vocab_size", 0) or 0) > 1


def pair_limit(model: Any) -> int:
    """The most tokens that positions allow; RoBERTa's begin behind its padding id."""
    offset = (model.config.pad_token_id or 0) + 1 if "roberta" in model.config.model_type else 0
    return position_limit(model) - offset
