"""MaxSim with a way back, for training: memory grows with tokens, never with pairs of tokens.

A maximum hands its whole gradient to the token that won. So all that is kept from the way there is
which document token each query token chose; similarities are made a block at a time and forgotten.
Rows are filled up by repeating a token of their own, so there is no mask that could win.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from trivet.core.ragged import Ragged

BUDGET = 1 << 22  # similarities held at once


def maxsim_of_own(queries: Ragged, documents: Ragged, *, budget: int = BUDGET) -> Tensor:
    """(B, n): each of B queries with its own n documents; row i's are i * n to (i + 1) * n.

    Every document must have a token.
    """
    count = len(documents) // max(1, len(queries))
    return _scores(queries, documents, list(_own(queries, documents, budget)), count)


def maxsim_of_all(queries: Ragged, documents: Ragged, *, budget: int = BUDGET) -> Tensor:
    """(B, N): each of B queries with each of N documents. Every document must have a token."""
    return _scores(queries, documents, list(_all(queries, documents, budget)), len(documents))


@dataclass(frozen=True)
class _Block:
    """Some queries before some documents. In `b` groups, or in one where all meet all."""

    tokens: Tensor  # (b, T) query tokens, as places in the values
    real: Tensor  # (b, T) 0 for a token that only fills up
    owners: Tensor  # (b, T) the query of each, counted from `first`
    first: int
    last: int
    places: Tensor  # (b, n, L) document tokens
    columns: Tensor  # (n,) where the scores go


def _own(queries: Ragged, documents: Ragged, budget: int) -> Iterator[_Block]:
    """A few queries at a time, each a group with its documents."""
    n = len(documents) // max(1, len(queries))
    if n * len(queries) != len(documents):
        raise ValueError(f"{len(documents)} documents are not as many for each of {len(queries)}")
    lengths = documents.lengths.view(len(queries), n).amax(1) if n else documents.lengths
    lengths = lengths.clamp(min=documents.values.shape[1])  # the way back holds as many numbers
    sizes = (lengths * n * queries.lengths).tolist()
    for first, last in _runs(sizes, budget):
        rows = torch.arange(first, last, device=queries.offsets.device)
        tokens, real = _filled(queries, rows)  # (b, T)
        places, _ = _filled(documents, torch.arange(first * n, last * n, device=rows.device))
        owners = (rows - first)[:, None].expand_as(tokens)
        columns = torch.arange(n, device=rows.device)
        yield _Block(tokens, real, owners, first, last, places.unflatten(0, (-1, n)), columns)


def _all(queries: Ragged, documents: Ragged, budget: int) -> Iterator[_Block]:
    """All queries before documents of like length, as many of either as the budget takes."""
    order = torch.sort(documents.lengths, stable=True).indices
    lengths = documents.lengths[order].clamp(min=documents.values.shape[1])
    most = max(1, int(lengths[-1])) if len(lengths) else 1
    for first, last in _runs((queries.lengths * most).tolist(), budget):
        start, end = int(queries.offsets[first]), int(queries.offsets[last])
        tokens = torch.arange(start, end, device=order.device)[None]  # (1, T)
        owners = torch.repeat_interleave(
            torch.arange(last - first, device=order.device), queries.lengths[first:last]
        )[None]
        real = torch.ones_like(tokens)
        for left, right in _runs((lengths * (end - start)).tolist(), budget):
            columns = order[left:right]
            places, _ = _filled(documents, columns)
            yield _Block(tokens, real, owners, first, last, places[None], columns)


def _runs(sizes: list[int], budget: int) -> Iterator[tuple[int, int]]:
    """Neighbours while (how many) x (the largest of them) stays within the budget; at least one."""
    start, largest = 0, 0
    for end, size in enumerate(sizes):
        if end > start and (end + 1 - start) * max(largest, size) > budget:
            yield start, end
            start, largest = end, 0
        largest = max(largest, size)
    if sizes:
        yield start, len(sizes)


def _filled(ragged: Ragged, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Places of the tokens of rows, (r, L), filled up with the last; and 1 where it is real."""
    own = ragged.lengths[rows]
    if bool((own < 1).any()):
        raise ValueError("a row has no token")
    steps = torch.arange(int(own.max()), device=own.device)[None]
    places = torch.minimum(steps, own[:, None] - 1) + ragged.offsets[rows][:, None]
    return places, (steps < own[:, None]).to(torch.int64)


def _scores(queries: Ragged, documents: Ragged, blocks: list[_Block], count: int) -> Tensor:
    device = queries.values.device
    moved = [
        _Block(b.tokens.to(device), b.real.to(device), b.owners.to(device), b.first, b.last,
               b.places.to(device), b.columns.to(device))
        for b in blocks
    ]  # fmt: skip
    shape = (len(queries), count)
    dtype = torch.promote_types(queries.values.dtype, torch.float32)  # never less than fp32
    values = (queries.values.to(dtype), documents.values.to(dtype))
    return cast(Any, _MaxSim).apply(*values, moved, shape)


class _MaxSim(torch.autograd.Function):
    """Sums of maxima; of the way there only the winners are kept."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, documents: Tensor, blocks: Any, shape: Any) -> Tensor:
        out = queries.new_zeros(shape)  # (B, count)
        winners: list[Tensor] = []
        for block in blocks:
            b, n, length = block.places.shape
            bags = documents[block.places.flatten(1)]  # (b, n * L, D)
            scores = torch.bmm(queries[block.tokens], bags.transpose(1, 2))  # (b, T, n * L)
            best, at = scores.view(b, -1, n, length).max(-1)  # (b, T, n)
            winners.append(block.places[:, None].expand(-1, at.shape[1], -1, -1)
                           .gather(-1, at[..., None])[..., 0].to(torch.int32))  # fmt: skip
            part = out.new_zeros(block.last - block.first, n)
            part.index_add_(0, block.owners.flatten(), (best * block.real[..., None]).flatten(0, 1))
            out[block.first : block.last, block.columns] = part
        ctx.save_for_backward(queries, documents, *winners)
        ctx.blocks = blocks
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        queries, documents, *winners = ctx.saved_tensors
        (grad,) = grads  # (B, count)
        to_queries, to_documents = torch.zeros_like(queries), torch.zeros_like(documents)
        for block, won in zip(ctx.blocks, winners, strict=True):
            share = grad[block.first : block.last, block.columns][block.owners]  # (b, T, n)
            share = share * block.real[..., None]
            tokens, won = block.tokens.flatten(), won.long().flatten(0, 1)  # (b * T,), (b * T, n)
            share = share.flatten(0, 1)  # (b * T, n)
            back = torch.bmm(share[:, None], documents[won])[:, 0]  # (b * T, D)
            to_queries.index_add_(0, tokens, back)
            there = share[..., None] * queries[tokens][:, None]  # (b * T, n, D)
            to_documents.index_add_(0, won.flatten(), there.flatten(0, 1))
        return to_queries, to_documents, None, None
