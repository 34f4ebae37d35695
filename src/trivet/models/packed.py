"""Texts through an encoder end to end, without padding.

All that an encoder computes for a token alone (projections, feed-forward layers, norms) is computed
once for all tokens of a micro-batch, whatever texts they belong to: one product a layer, one
gradient a weight, and no padding. Only attention knows texts: it takes those of like length side by
side. Encoders that take neither positions nor further arguments for their attention are padded as
usual; either way hidden states leave as one row a token.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from trivet.core.buckets import SLACK, buckets, packs
from trivet.core.ragged import Ragged

PACKED = {"bert", "modernbert"}
Attend = Callable[[Tensor, Tensor, Tensor, "Tensor | None"], Tensor]


def micro_batches(encoder: Any, lengths: Tensor, budget: int) -> list[Tensor]:
    """Which texts are encoded together: by tokens, or by padded tokens."""
    packed = encoder.config.model_type in PACKED
    return packs(lengths, budget) if packed else buckets(lengths, budget)


def hidden_states(
    encoder: Any, tokens: Ragged, *, pad: int, seen: Tensor | None = None, every: bool = False
) -> list[Tensor]:
    """Hidden states of all tokens, (T, H): the last ones, or those of every layer in order.

    Args:
        encoder: a Hugging Face encoder that uses our attention.
        tokens: ids, (T,).
        pad: the id of the padding token.
        seen: (T,) true for the tokens that others may attend to; None is all.
        every: also the embeddings, first, and each layer before the last.
    """
    more: dict[str, Any] = {"output_hidden_states": True} if every else {}
    if encoder.config.model_type in PACKED:
        packing = Packing.of(tokens.offsets, seen)
        if encoder.config.model_type == "modernbert":  # it would make masks of all tokens squared
            more["attention_mask"] = {"full_attention": None, "sliding_attention": None}
        out = encoder(
            input_ids=tokens.values[None],
            position_ids=packing.positions[None],
            packing=packing,
            **more,
        )
        return [state[0] for state in _states(out, every)]
    ids, there = tokens.pad(pad)  # (b, L), (b, L)
    attended = there
    if seen is not None:
        attended = Ragged(seen, tokens.offsets).pad(False)[0]
    mask = None if bool(attended.all()) else attended.long()
    out = encoder(input_ids=ids, attention_mask=mask, **more)
    return [state[there] for state in _states(out, every)]


def means(rows: Ragged) -> Tensor:
    """The mean of each row, (N, D) from (T, D)."""
    every = torch.arange(len(rows.values), device=rows.values.device)
    return F.embedding_bag(every, rows.values, rows.offsets[:-1], mode="mean")


def _states(out: Any, every: bool) -> list[Tensor]:
    return list(out.hidden_states) if every else [out.last_hidden_state]


@dataclass(frozen=True)
class _Group:
    """Neighbouring texts that are attended side by side, (b, L)."""

    tokens: int
    shape: tuple[int, int]
    filled: Tensor | None  # (b * L,) places of tokens, a text's last one repeated; None: no filling
    real: Tensor | None  # (T',) where the tokens lie among those
    mask: Tensor | None  # (b, 1, 1, L) keys that count


@dataclass(frozen=True)
class Packing:
    """How the texts of a micro-batch lie end to end."""

    positions: Tensor  # (T,) of each token in its text
    groups: list[_Group]

    @classmethod
    def of(cls, offsets: Tensor, seen: Tensor | None = None) -> Packing:
        """Texts in their order; neighbours of like length make groups, so sort them first.

        It is counted on the CPU: a GPU would have to be waited for at every number.
        """
        device, offsets = offsets.device, offsets.cpu()
        seen = None if seen is None else seen.cpu()
        lengths = offsets.diff()
        owners = torch.repeat_interleave(lengths)
        positions = torch.arange(len(owners)) - offsets[owners]
        groups: list[_Group] = []
        row = 0
        for rows in _runs(lengths.tolist()):
            start, stop = int(offsets[row]), int(offsets[row + len(rows)])
            own = lengths[row : row + len(rows)]
            groups.append(_group(own, None if seen is None else seen[start:stop], device))
            row += len(rows)
        return cls(positions.to(device), groups)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, attend: Attend) -> Tensor:
        """(1, T, H, D) from (1, H, T, D) each, a group after another."""
        heads, size = query.shape[1], query.shape[3]
        flat = [part[0].transpose(0, 1).reshape(-1, heads * size) for part in (query, key, value)]
        sizes = [group.tokens for group in self.groups]
        pieces = [part.split(sizes) for part in flat]  # a view for each group
        outs: list[Tensor] = []
        for i, group in enumerate(self.groups):
            b, length = group.shape
            parts: list[Tensor] = []
            for own in (piece[i] for piece in pieces):  # (T', H * D)
                if group.filled is not None:
                    own = cast(Any, _Fill).apply(own, group.filled, group.real)
                parts.append(own.view(b, length, heads, size).transpose(1, 2))
            out = attend(parts[0], parts[1], parts[2], group.mask)  # (b, L, H, D)
            out = out.reshape(b * length, heads * size)
            if group.real is not None:
                out = cast(Any, _Take).apply(out, group.real)
            outs.append(out)
        return torch.cat(outs).view(1, -1, heads, size)


def _runs(lengths: list[int]) -> list[range]:
    """Neighbours of like length: none is filled up by more than a share of the first."""
    runs: list[range] = []
    start = 0
    for end in range(1, len(lengths) + 1):
        first = lengths[start]
        if end == len(lengths) or not (1 - SLACK) * first <= lengths[end] <= first:
            runs.append(range(start, end))
            start = end
    return runs


def _group(own: Tensor, seen: Tensor | None, device: torch.device) -> _Group:
    """Texts of such lengths, and which of their tokens may be attended to; made for a device."""
    b, length, tokens = len(own), int(own.max()), int(own.sum())
    steps = torch.arange(length)[None]  # (1, L)
    there = steps < own[:, None]  # (b, L)
    full = b * length == tokens
    keys = there.clone()
    if seen is not None:
        keys[there] = seen
    mask = None if bool(keys.all()) else keys[:, None, None].to(device)
    if full:
        return _Group(tokens, (b, length), None, None, mask)
    firsts = own.cumsum(0) - own  # (b,)
    filled = torch.minimum(steps, own[:, None] - 1) + firsts[:, None]
    real = there.flatten().nonzero()[:, 0]
    return _Group(tokens, (b, length), filled.flatten().to(device), real.to(device), mask)


class _Fill(torch.autograd.Function):
    """Rows side by side, each filled up by its last token: that is masked, and gets no gradient."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, filled: Tensor, real: Tensor) -> Tensor:
        ctx.save_for_backward(real)
        return values.index_select(0, filled)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads[0].index_select(0, ctx.saved_tensors[0]), None, None


class _Take(torch.autograd.Function):
    """The tokens that are there; the way back of a plain index is slow: it adds up one by one."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, real: Tensor) -> Tensor:
        ctx.save_for_backward(real)
        ctx.rows = values.shape[0]
        return values.index_select(0, real)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (grad,) = grads
        out = grad.new_zeros(ctx.rows, *grad.shape[1:])
        out[ctx.saved_tensors[0]] = grad
        return out, None
