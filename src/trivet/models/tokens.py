"""Texts to token ids. Lengths count content: prompts and special tokens come on top."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from trivet.core.ragged import Ragged


@dataclass(frozen=True)
class Tokens:
    """Token ids of some texts, and how many texts had to be cut."""

    ids: Ragged
    truncated: int


class Tokenizer:
    """A Hugging Face tokenizer with the prompts and content lengths of both sides."""

    def __init__(
        self,
        inner: Any,
        *,
        prompts: dict[str, str],
        lengths: dict[str, int],
        limit: int | None = None,
        markers: dict[str, int] | None = None,
        lower: bool = False,
    ) -> None:
        """Wrap a fast tokenizer; `limit` is the most tokens in all that the encoder takes.

        `markers`: a token for each side that stands after the first one, as ColBERT has them.
        `lower`: texts and prompts are made lower case first.
        """
        self.inner = inner
        self.prompts, self.lengths, self.limit = prompts, lengths, limit
        self.markers, self.lower = markers or {}, lower
        self.specials = int(inner.num_special_tokens_to_add())
        self._lock = threading.Lock()  # the tokenizer keeps its truncation as state

    @property
    def pad(self) -> int:
        """The id that fills rows up; it is always masked."""
        return int(self.inner.pad_token_id or 0)

    def total(self, side: str, prompt: str | None = None) -> int:
        """The most tokens in a row, content and all that comes on top, within the limit."""
        prompt = self.prompts.get(side, "") if prompt is None else prompt
        total = self.lengths[side] + self.before(side, prompt)
        return min(total, self.limit) if self.limit else total

    def room(self, side: str, prompt: str | None = None) -> int:
        """The content tokens that there is room for, beside all that comes on top."""
        prompt = self.prompts.get(side, "") if prompt is None else prompt
        return self.total(side, prompt) - self.before(side, prompt)

    def before(self, side: str, prompt: str) -> int:
        """The tokens of a row that are no content: prompt, marker and special ones."""
        extra = len(self.inner(prompt, add_special_tokens=False)["input_ids"]) if prompt else 0
        return extra + self.specials + (side in self.markers)

    def __call__(self, texts: Sequence[str], side: str, prompt: str | None = None) -> Tokens:
        """Tokenize texts of one side; a prompt given here stands in for the model's own."""
        prompt = self.prompts.get(side, "") if prompt is None else prompt
        if not texts:
            return Tokens(Ragged.of([]), 0)
        marker = [self.markers[side]] if side in self.markers else []
        whole = [prompt + text for text in texts]
        with self._lock:
            out = self.inner(
                [text.lower() for text in whole] if self.lower else whole,
                truncation=True,
                max_length=self.total(side, prompt) - len(marker),
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,
            )
        truncated = sum(bool(encoding.overflowing) for encoding in out.encodings)
        found = [ids[:1] + marker + ids[1:] for ids in out["input_ids"]]
        rows = [torch.tensor(ids, dtype=torch.int64) for ids in found]
        return Tokens(Ragged.of(rows), truncated)

    def words(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of texts alone: neither cut nor with anything around them."""
        with self._lock:
            backend = self.inner.backend_tokenizer
            backend.no_truncation()
            backend.no_padding()
            found = backend.encode_batch(list(texts), add_special_tokens=False)
        return [row.ids for row in found]

    def spans(self, text: str, side: str) -> list[tuple[int, int]]:
        """Where each token of a text's row stands in prompt and text together.

        Markers and special tokens stand nowhere: (0, 0).
        """
        whole = self.prompts.get(side, "") + text
        shown, places = whole, list(range(len(whole) + 1))
        if self.lower:  # one letter may become several
            shown = whole.lower()
            places = [i for i, letter in enumerate(whole) for _ in letter.lower()] + [len(whole)]
        marker = [(0, 0)] * (side in self.markers)
        with self._lock:
            out = self.inner(
                shown,
                truncation=True,
                max_length=self.total(side) - len(marker),
                return_offsets_mapping=True,
                verbose=False,
            )
        found = [(places[a], places[b - 1] + 1) if b > a else (0, 0)
                 for a, b in out["offset_mapping"]]  # fmt: skip
        return found[:1] + marker + found[1:]

    def example(self, text: str, side: str) -> str:
        """One decoded text, as the encoder sees it."""
        return str(self.inner.decode(self([text], side).ids[0]))
