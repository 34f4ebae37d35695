"""Texts to vectors, fast: sorted by length, batched by tokens, tokenized one shard ahead."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from trivet.core.buckets import packs
from trivet.core.layers import fast_layers
from trivet.core.machine import Precision
from trivet.core.memory import halving
from trivet.core.prefetch import prefetch
from trivet.core.progress import Progress
from trivet.core.ragged import Ragged
from trivet.models.colbert import ColBERT
from trivet.models.dense import Dense
from trivet.models.tokens import Tokens
from trivet.retrieval.vectors import Shard

Model = TypeVar("Model", bound=nn.Module)
_CHUNK = 4096  # texts in a shard
_CHARACTERS = 1 << 20  # and characters, unless one text has more


@dataclass(frozen=True)
class Encoded:
    """Vectors in the order of the texts, and how many texts were cut."""

    vectors: Tensor  # (N, D) fp32 on the CPU
    truncated: int


def at_precision(model: Model, precision: Precision, device: str) -> Model:
    """A copy of a model for encoding: in eval mode, its weights in the chosen precision."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    made = copy.copy(model)  # shares the tokenizer
    made._modules = {  # type: ignore[assignment]
        name: copy.deepcopy(module).to(device=device, dtype=dtype)
        for name, module in model.named_children()
    }
    return made.eval()


def encode(
    model: Dense,
    texts: Sequence[str],
    side: str,
    *,
    prompt: str | None = None,
    what: str = "encode",
) -> Encoded:
    """Encode texts of one side."""
    vectors = torch.empty(len(texts), model.dim)
    truncated = 0
    for shard in encode_shards(model, texts, side, split(texts), prompt=prompt, what=what):
        assert isinstance(shard.vectors, Tensor)
        vectors[shard.rows] = shard.vectors
        truncated += shard.truncated
    return Encoded(vectors, truncated)


def split(texts: Sequence[str], size: int | None = None) -> list[list[int]]:
    """Rows of like length together, the long ones first: memory runs out at once or never.

    A shard is what a killed run loses: at most `size` texts, and fewer where they are long.
    """
    size = size or _CHUNK
    shards: list[list[int]] = []
    room = 0
    for row in sorted(range(len(texts)), key=lambda i: -len(texts[i])):
        if not shards or len(shards[-1]) == size or room < len(texts[row]):
            shards.append([])
            room = _CHARACTERS
        shards[-1].append(row)
        room -= len(texts[row])
    return shards


@torch.inference_mode()
def encode_shards(
    model: Dense | ColBERT,
    texts: Sequence[str],
    side: str,
    parts: list[list[int]],
    *,
    prompt: str | None = None,
    what: str = "encode",
    dtype: torch.dtype = torch.float32,
) -> Iterator[Shard]:
    """A shard for each list of rows: a vector a text, or a bag of them; kept as `dtype`."""

    def tokenize(rows: list[int]) -> tuple[list[int], Tokens]:
        return rows, model.tokenizer([texts[row] for row in rows], side, prompt)

    with Progress(what, sum(map(len, parts)), "text") as progress:
        for rows, tokens in prefetch(parts, tokenize, depth=1):
            found: list[Tensor] = [torch.empty(0)] * len(rows)
            for group in packs(tokens.ids.lengths, model.budget):
                work = partial(_encoded, model, tokens.ids.select(group), side)
                out, model.budget = halving(work, model.budget, what)
                for row, vectors in zip(group.tolist(), out, strict=True):
                    found[row] = vectors.to("cpu", dtype)
                progress.add(len(group))
            made = torch.stack(found) if isinstance(model, Dense) else Ragged.of(found)
            yield Shard(torch.tensor(rows), made, tokens.truncated)


def _encoded(model: Dense | ColBERT, ids: Ragged, side: str, budget: int) -> Tensor | Ragged:
    model.budget = budget
    with fast_layers():
        found: Any = model(ids) if isinstance(model, Dense) else model(ids, side)
    if isinstance(found, Ragged):
        return Ragged(found.values.float().cpu(), found.offsets)
    return found.float().cpu()
