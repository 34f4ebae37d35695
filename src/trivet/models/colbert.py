"""A late-interaction retriever: one normalised vector for each token of a text.

Khattab and Zaharia, "ColBERT: Efficient and Effective Passage Search via Contextualized Late
Interaction over BERT", https://arxiv.org/abs/2004.12832. Token vectors leave as Ragged and stay so:
there is no padding to score.
"""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trivet.core.buckets import buckets
from trivet.core.ragged import Ragged
from trivet.models.heads import Projection
from trivet.models.tokens import Tokenizer

Expansion = Literal["none", "mask", "mask_attend"]
Markers = dict[str, int]  # side > token


class ColBERT(nn.Module):
    """Encoder, head, normalisation."""

    def __init__(
        self,
        encoder: Any,
        head: nn.Sequential,
        tokenizer: Tokenizer,
        *,
        expansion: Expansion = "none",
        skip: list[int] | None = None,
        budget: int = 8192,
    ) -> None:
        """`expansion`: whether queries are filled up with mask tokens, and whether these are seen
        by others; `skip`: document tokens that get no vector; `budget`: padded tokens per
        micro-batch."""
        super().__init__()
        self.encoder, self.head, self.tokenizer = encoder, head, tokenizer
        self.expansion: Expansion = expansion
        self.skip = sorted(set(skip or []))
        self.budget = budget

    @property
    def dim(self) -> int:
        """The size of a token's vector."""
        return int(cast("Projection", self.head[-1]).linear.out_features)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def forward(self, tokens: Ragged, side: str) -> Ragged:
        """Vectors of the tokens of N texts, in the order given."""
        expanded = self._expanded(tokens) if side == "query" else tokens
        groups = buckets(expanded.lengths, self.budget)
        found: list[Tensor] = [torch.empty(0)] * len(tokens)
        for group in groups:
            rows = expanded.select(group).to(self.device)
            vectors = self._encode(rows, tokens.lengths[group].to(self.device))
            for row, bag in zip(group.tolist(), vectors, strict=True):
                found[row] = bag
        out = Ragged.of(found) if found else Ragged(torch.empty(0, self.dim), tokens.offsets)
        return self._kept(out, expanded) if side == "document" else out

    def _expanded(self, tokens: Ragged) -> Ragged:
        """Queries filled up with mask tokens to their full length."""
        if self.expansion == "none" or len(tokens) == 0:
            return tokens
        full = self.tokenizer.total("query")
        inner = self.tokenizer.inner
        known = (inner.mask_token_id, inner.eos_token_id, inner.pad_token_id, 0)
        mask = next(int(token) for token in known if token is not None)  # PyLate's choice, too
        return Ragged.of([F.pad(row, (0, max(0, full - len(row))), value=mask) for row in tokens])

    def _encode(self, rows: Ragged, seen: Tensor) -> Ragged:
        """Normalised vectors; only the first `seen` tokens of a row are attended to."""
        ids, mask = rows.pad(self.tokenizer.pad)  # (b, L), (b, L)
        attended = mask
        if self.expansion != "mask_attend":
            places = torch.arange(ids.shape[1], device=ids.device)[None]
            attended = mask & (places < seen[:, None])
        hidden = self.encoder(
            input_ids=ids, attention_mask=None if bool(attended.all()) else attended.long()
        ).last_hidden_state  # (b, L, H)
        vectors = F.normalize(self.head(hidden[mask]).float(), dim=-1)  # (T, D)
        return Ragged(vectors, rows.offsets)

    def _kept(self, vectors: Ragged, tokens: Ragged) -> Ragged:
        """Without the tokens that get no vector."""
        if not self.skip:
            return vectors
        keep = ~torch.isin(tokens.values, torch.tensor(self.skip))  # (T,)
        owner = torch.repeat_interleave(torch.arange(len(tokens)), tokens.lengths)
        lengths = torch.bincount(owner[keep], minlength=len(tokens))
        offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        return Ragged(vectors.values[keep.to(vectors.values.device)], offsets)


def add_markers(encoder: Any, inner: Any, query: str = "[Q] ", document: str = "[D] ") -> Markers:
    """Give a tokenizer and its encoder a token for each side."""
    inner.add_tokens([query, document])
    encoder.resize_token_embeddings(len(inner))
    return {side: int(inner.convert_tokens_to_ids(word)) for side, word in
            (("query", query), ("document", document))}  # fmt: skip
