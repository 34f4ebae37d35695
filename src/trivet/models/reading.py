"""What a late-interaction model makes of a text: its tokens, where they stand, which have a vector.

A score is a sum over tokens; to say where it comes from, tokens must be led back to the text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trivet.models.colbert import ColBERT

Kind = Literal["text", "prompt", "marker", "special", "expansion"]


@dataclass(frozen=True)
class Token:
    """A token as the encoder reads it."""

    piece: str  # as the vocabulary spells it
    kind: Kind  # of the text, of the prompt before it, or put there by the model
    start: int  # its place in the text; nowhere is 0, 0
    end: int
    kept: bool  # whether it has a vector


def read(model: ColBERT, text: str, side: str) -> list[Token]:
    """The tokens of a text in the order of their vectors; those in the skip list have none."""
    tokenizer = model.tokenizer
    marked = model.marked(tokenizer([text], side).ids, side)[0]  # (T, 3)
    spans = tokenizer.spans(text, side)
    before = len(tokenizer.prompts.get(side, ""))
    marker = tokenizer.markers.get(side)
    ids: list[int] = marked[:, 0].tolist()
    pieces: list[str] = tokenizer.inner.convert_ids_to_tokens(ids)
    found: list[Token] = []
    for i, (token, piece, kept) in enumerate(zip(ids, pieces, marked[:, 2].tolist(), strict=True)):
        kind: Kind = "text"
        start = end = 0
        if i >= len(spans):
            kind = "expansion"
        elif i == 1 and token == marker:
            kind = "marker"
        elif spans[i][0] == spans[i][1]:
            kind = "special"
        elif spans[i][0] < before:
            kind = "prompt"
        else:
            start, end = (place - before for place in spans[i])
        found.append(Token(piece, kind, start, end, bool(kept)))
    return found
