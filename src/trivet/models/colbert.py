"""A late-interaction retriever: one normalised vector for each token of a text.

Khattab and Zaharia, "ColBERT: Efficient and Effective Passage Search via Contextualized Late
Interaction over BERT", https://arxiv.org/abs/2004.12832. Token vectors leave as Ragged and stay so:
there is no padding to score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trivet.core.ragged import Ragged, concatenate
from trivet.models.heads import Projection
from trivet.models.packed import hidden_states, micro_batches
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
        by others; `skip`: document tokens that get no vector; `budget`: tokens per
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

    @property
    def expansion_token(self) -> int:
        """What queries are filled up with: PyLate's choice, too."""
        inner = self.tokenizer.inner
        known = (inner.mask_token_id, inner.eos_token_id, inner.pad_token_id, 0)
        return next(int(token) for token in known if token is not None)

    def forward(self, tokens: Ragged, side: str) -> Ragged:
        """Vectors of the tokens of N texts of one side, in the order given."""
        return self.vectors(self.marked(tokens, side))

    def marked(self, tokens: Ragged, side: str) -> Ragged:
        """What the encoder reads of some texts: (T, 3), the token, is it seen, has it a vector.

        Queries are filled up with mask tokens to their full length, where they are expanded; of
        documents some tokens get no vector. Texts of both sides may then be encoded together.
        """
        ids = tokens.values
        if side == "query" and self.expansion != "none" and len(tokens):
            return self._expanded(tokens)
        keep = torch.ones_like(ids)
        if side == "document" and self.skip:
            keep = (~torch.isin(ids, torch.tensor(self.skip, device=ids.device))).to(ids.dtype)
        return Ragged(torch.stack([ids, torch.ones_like(ids), keep], -1), tokens.offsets)

    def empty(self, texts: Sequence[str], side: str) -> list[bool]:
        """Which texts have no token of their own that is read and gets a vector."""
        plain = [text.lower() if self.tokenizer.lower else text for text in texts]
        skip = set(self.skip) if side == "document" else set[int]()
        rows = self.tokenizer.words(plain)
        return [skip.issuperset(row[: self.tokenizer.lengths[side]]) for row in rows]

    def vectors(self, marked: Ragged) -> Ragged:
        """Vectors of texts that `marked` made, of both sides at once or of one, in their order."""
        if len(marked) == 0:
            return Ragged(torch.empty(0, self.dim), marked.offsets)
        groups = micro_batches(self.encoder, marked.lengths, self.budget)
        parts = [self._encode(marked.select(group).to(self.device)) for group in groups]
        return concatenate(parts).select(torch.argsort(torch.cat(groups)))

    def _expanded(self, tokens: Ragged) -> Ragged:
        full = self.tokenizer.total("query")
        mask = self.expansion_token
        seen = int(self.expansion == "mask_attend")
        rows: list[Tensor] = []
        for row in tokens:
            more = max(0, full - len(row))
            columns = [F.pad(row, (0, more), value=mask)]
            columns += [F.pad(torch.ones_like(row), (0, more), value=v) for v in (seen, 1)]
            rows.append(torch.stack(columns, -1))  # (L, 3)
        return Ragged.of(rows)

    def _encode(self, rows: Ragged) -> Ragged:
        """Normalised vectors of one micro-batch."""
        ids, seen, keep = rows.values.unbind(-1)  # (T,) each
        tokens = Ragged(ids, rows.offsets)
        attended = None if bool(seen.all()) else seen.bool()
        (hidden,) = hidden_states(self.encoder, tokens, pad=self.tokenizer.pad, seen=attended)
        if not bool(keep.all()):
            hidden = hidden[keep.bool()]
        vectors = F.normalize(self.head(hidden).float(), dim=-1)  # (T, D)
        kept = torch.cat([keep.new_zeros(1), keep.cumsum(0)])  # before each token
        return Ragged(vectors, kept[rows.offsets])


def add_markers(encoder: Any, inner: Any, query: str = "[Q] ", document: str = "[D] ") -> Markers:
    """Give a tokenizer and its encoder a token for each side; rows that it has left over stay."""
    inner.add_tokens([query, document])
    if len(inner) > encoder.get_input_embeddings().num_embeddings:
        encoder.resize_token_embeddings(len(inner))
    return {side: int(inner.convert_tokens_to_ids(word)) for side, word in
            (("query", query), ("document", document))}  # fmt: skip
