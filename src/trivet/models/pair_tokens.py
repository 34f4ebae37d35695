"""A query and a document as one row of tokens, each cut by itself.

A query keeps its first tokens, as many as its length says, and the document gets what is left of
both lengths together. So a loader that knows only that sum, and cuts the longer text, cuts the same
tokens wherever the query fits its length and the document's length is not the smaller one.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import torch

from trivet.core.errors import ArtifactError
from trivet.core.ragged import Ragged
from trivet.models.loading import refuse_foreign
from trivet.models.tokens import Tokens


class PairTokenizer:
    """A fast tokenizer with the content lengths of both sides."""

    def __init__(self, inner: Any, *, lengths: dict[str, int], limit: int) -> None:
        """`limit`: the most tokens in all that the encoder takes."""
        self.inner, self.lengths, self.limit = inner, lengths, limit
        self.specials = int(inner.num_special_tokens_to_add(pair=True))
        self._lock = threading.Lock()  # the tokenizer keeps its truncation as state

    @property
    def pad(self) -> int:
        """The id that fills rows up; it is always masked."""
        return int(self.inner.pad_token_id or 0)

    @property
    def total(self) -> int:
        """The most tokens in a row, content of both sides and all that stands around it."""
        return min(sum(self.lengths.values()) + self.specials, self.limit)

    def __call__(self, queries: Sequence[str], documents: Sequence[str]) -> Tokens:
        """Rows of (T, 2): a token, and the segment that it is of."""
        backend = self.inner.backend_tokenizer
        truncated = 0
        rows: list[torch.Tensor] = []
        room = self.total - self.specials
        longest = room * self.lengths["query"] // sum(self.lengths.values())  # all, where it fits
        with self._lock:
            backend.no_truncation()
            backend.no_padding()
            asked = backend.encode_batch(list(queries), add_special_tokens=False)
            told = backend.encode_batch(list(documents), add_special_tokens=False)
            for query, document in zip(asked, told, strict=True):
                query.truncate(longest)
                document.truncate(room - len(query))
                truncated += bool(query.overflowing or document.overflowing)
                row = backend.post_process(query, document)
                rows.append(torch.tensor([row.ids, row.type_ids]).T)
        if not rows:
            return Tokens(Ragged(torch.empty(0, 2, dtype=torch.int64), torch.zeros(1).long()), 0)
        return Tokens(Ragged.of(rows), truncated)

    def empty(self, texts: Sequence[str]) -> list[bool]:
        """Which texts have no token at all."""
        with self._lock:
            self.inner.backend_tokenizer.no_truncation()
            self.inner.backend_tokenizer.no_padding()
            found = self.inner.backend_tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [len(row) == 0 for row in found]


def check_pairs(inner: Any, vocabulary: int, where: str) -> None:
    """Refuse a tokenizer that is not the encoder's, or does not tell a query from a document."""
    refuse_foreign(inner, vocabulary, where)
    sides = inner.backend_tokenizer.encode("a", "b").sequence_ids
    if 0 not in sides or None not in sides[sides.index(0) : sides.index(1)]:
        what = "its tokenizer puts nothing between a query and a document"
        raise ArtifactError(what, where=where, fix="Take an encoder with a separator token")


def lower_case(inner: Any) -> Any:
    """The same tokenizer, which makes texts lower case before all else, wherever it is loaded."""
    from tokenizers.normalizers import Lowercase, Sequence
    from transformers import PreTrainedTokenizerFast  # a class of its own would build itself anew

    backend = inner.backend_tokenizer
    others = [backend.normalizer] if backend.normalizer else []
    backend.normalizer = Sequence([Lowercase(), *others])
    return PreTrainedTokenizerFast(tokenizer_object=backend, **inner.special_tokens_map)
