"""Texts to vectors, fast: sorted by length, batched by tokens, tokenized one chunk ahead."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trivet.core.buckets import buckets
from trivet.core.machine import Precision
from trivet.core.prefetch import prefetch
from trivet.core.progress import Progress
from trivet.models.dense import Dense
from trivet.models.tokens import Tokens

_CHUNK = 4096


@dataclass(frozen=True)
class Encoded:
    """Vectors in the order of the texts, and how many texts were cut."""

    vectors: Tensor  # (N, D) fp32 on the CPU
    truncated: int


def at_precision(model: Dense, precision: Precision, device: str) -> Dense:
    """A copy of a model for encoding: in eval mode, its weights in the chosen precision."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    encoder = copy.deepcopy(model.encoder).to(device=device, dtype=dtype)
    made = Dense(
        encoder,
        model.tokenizer,
        pooling=model.pooling,
        normalize=model.normalize,
        budget=model.budget,
    )
    return made.eval()


@torch.inference_mode()
def encode(
    model: Dense,
    texts: Sequence[str],
    side: str,
    *,
    prompt: str | None = None,
    what: str = "encode",
) -> Encoded:
    """Encode texts of one side. Long texts come first, so that memory runs out at once or never."""
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    chunks = [order[start : start + _CHUNK] for start in range(0, len(order), _CHUNK)]

    def tokenize(rows: list[int]) -> tuple[list[int], Tokens]:
        return rows, model.tokenizer([texts[row] for row in rows], side, prompt)

    vectors = torch.empty(len(texts), model.dim)
    truncated = 0
    with Progress(what, len(texts), "text") as progress:
        for rows, tokens in prefetch(chunks, tokenize, depth=1):
            truncated += tokens.truncated
            places = torch.tensor(rows)
            for group in buckets(tokens.ids.lengths, model.budget):
                out = model(tokens.ids.select(group))
                vectors[places[group]] = out.float().cpu()
                progress.add(len(group))
    return Encoded(vectors, truncated)
