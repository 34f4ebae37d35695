"""What latents each token of a text holds, and where the token stands in the text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from trivet.core.progress import Progress
from trivet.core.ragged import Ragged
from trivet.models.latent import Latent
from trivet.models.packed import micro_batches

_CHUNK = 256  # texts tokenized at once
_LETTERS = 90  # of a sentence, on either side of a token
_END = re.compile(r"[.!?;]\s|\n")


@dataclass(frozen=True)
class Read:
    """A text as the model has it."""

    row: int  # which text
    ids: NDArray[np.int64]  # (T,) tokens
    latents: NDArray[np.int32]  # (T, k)
    weights: NDArray[np.float32]  # (T, k), 0 where a latent is not active
    hidden: NDArray[np.float32]  # (T, D) what the autoencoder took apart


@dataclass(frozen=True)
class Place:
    """A token in its sentence."""

    before: str
    token: str
    after: str


@torch.inference_mode()
def readings(
    model: Latent, texts: Sequence[str], rows: Sequence[int], side: str = "document"
) -> Iterator[Read]:
    """The texts of `rows`, one by one, in any order; in fp32, whatever the search was in."""
    by_length = sorted(rows, key=lambda row: -len(texts[row]))
    with Progress("reading", len(by_length), "text") as progress:
        for start in range(0, len(by_length), _CHUNK):
            part = by_length[start : start + _CHUNK]
            ids = model.tokenizer([texts[row] for row in part], side).ids
            for group in micro_batches(model.encoder, ids.lengths, model.budget):
                own = ids.select(group)
                yield from _read(model, own, [part[i] for i in group.tolist()])
                progress.add(len(group))


def _read(model: Latent, ids: Ragged, rows: list[int]) -> Iterator[Read]:
    hidden = model.hidden(ids.to(model.device))
    active = model.sae.encode(hidden)
    latents = active.latents.int().cpu().numpy()
    weights = active.weights.float().cpu().numpy()
    states, tokens = hidden.cpu().numpy(), ids.values.numpy()
    for i, row in enumerate(rows):
        own = slice(int(ids.offsets[i]), int(ids.offsets[i + 1]))
        yield Read(row, tokens[own], latents[own], weights[own], states[own])


def in_sentence(
    model: Latent, text: str, place: int, side: str = "document", letters: int = _LETTERS
) -> Place:
    """A token of a text with what stands around it, not beyond its sentence."""
    start, end = model.tokenizer.spans(text, side)[place]
    whole = model.tokenizer.prompts.get(side, "") + text
    if start == end:  # the model put it there
        piece = model.tokenizer.inner.convert_ids_to_tokens(
            int(model.tokenizer([text], side).ids[0][place])
        )
        first = place == 0
        return Place("" if first else _cut(whole, letters, True), str(piece),
                     " " + _cut(whole, letters, False) if first else "")  # fmt: skip
    before, after = whole[:start], whole[end:]
    ends = [match.end() for match in _END.finditer(before)]
    before = _cut(before[ends[-1] if ends else 0 :], letters, True)
    stop = _END.search(after)
    after = _cut(after[: stop.start() + 1] if stop else after, letters, False)
    return Place(before, whole[start:end], after.rstrip())


def plain(piece: str) -> str:
    """A token of a vocabulary as it is told: no marks of a word's middle or beginning, no case."""
    return piece.removeprefix("##").lstrip("Ġ▁ ").casefold() or piece


def _cut(text: str, letters: int, left: bool) -> str:
    """The last letters of what is to the left, the first ones of what is to the right."""
    if len(text) <= letters:
        return text
    return (
        "…" + text[-letters:].partition(" ")[2] if left else text[:letters].rpartition(" ")[0] + "…"
    )
