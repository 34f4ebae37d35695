"""Products of vectors with all rows of a matrix, of which only a few are kept.

What has the size of the whole matrix is computed a few vectors at a time and forgotten; the way
back knows the few that were kept, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from trivet.core.inner import inner
from trivet.core.top import top
from trivet.models.coarse import largest_by_bytes, suited

_HELD = {"cpu": 1 << 24, "cuda": 1 << 28}  # products at once


@torch.no_grad()
def largest(
    vectors: Tensor, matrix: Tensor, k: int, bias: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Of each vector the rows of the k largest products, and the products in fp32 or above.

    Args:
        vectors: (T, D).
        matrix: (M, D).
        k: how many are kept, at most M.
        bias: (M,) added to the products.

    Returns:
        (T, k) rows and (T, k) products, largest first. Under autocast they are products in bf16,
        except where bytes choose (`coarse`): there they are in fp32, at less cost.
    """
    if suited(vectors, matrix, k):
        values, rows = largest_by_bytes(vectors, matrix, k, bias)
        return rows, values
    parts = [top(part, k) for part in in_parts(vectors, matrix, bias)]
    values, rows = (torch.cat(found) for found in zip(*parts, strict=True))
    return rows, values.to(vectors.dtype)


@torch.no_grad()
def above(
    vectors: Tensor, matrix: Tensor, floor: Tensor, bias: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Of each vector the rows whose products lie above their `floor`, (M,).

    Returns:
        (T, m) rows, (T, m) products and (T, m) which of them do, m what one vector has at most.
    """
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for products in in_parts(vectors, matrix, bias):
        there = products > floor
        most = max(1, int(there.sum(1).max())) if len(there) else 1
        values, rows = top(torch.where(there, products, -torch.inf), most)
        found.append((rows, values.to(vectors.dtype), values > -torch.inf))
    widest = max(part[0].shape[1] for part in found)
    rows, values, kept = (
        torch.cat([F.pad(part[i], (0, widest - part[i].shape[1])) for part in found])
        for i in range(3)
    )
    return rows, torch.where(kept, values, 0), kept


def in_parts(vectors: Tensor, matrix: Tensor, bias: Tensor | None) -> Iterator[Tensor]:
    """All products, (t, M), of a few vectors at a time."""
    dtype = _precision(vectors)
    held = _HELD.get(vectors.device.type, _HELD["cuda"])
    rows = matrix.to(dtype)
    for part in vectors.to(dtype).split(max(1, held // len(matrix))):
        products = inner(part, rows)
        yield products if bias is None else products.add_(bias)


def weigh(vectors: Tensor, matrix: Tensor, chosen: Tensor, products: Tensor) -> Tensor:
    """The products of (T, D) vectors with their `chosen` rows, (T, k), with a gradient."""
    return cast(Any, _Weigh).apply(vectors, matrix, chosen, products)


class _Weigh(torch.autograd.Function):
    """The products are known already. A row's gradient is a sum over the vectors that chose it."""

    @staticmethod
    def forward(
        ctx: Any, vectors: Tensor, matrix: Tensor, chosen: Tensor, products: Tensor
    ) -> Tensor:
        ctx.save_for_backward(vectors, matrix, chosen)
        return products.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        vectors, matrix, chosen = ctx.saved_tensors
        weights = grads[0].to(matrix.dtype)  # (T, k)
        by = chosen.flatten().sort(stable=True).indices  # equal sums in every run, on a GPU too
        counts = chosen.flatten().bincount(minlength=len(matrix))
        rows = F.embedding_bag(
            by // chosen.shape[1],
            vectors.to(matrix.dtype),
            counts.cumsum(0) - counts,
            per_sample_weights=weights.flatten()[by],
            mode="sum",
        )
        to_vectors = None
        if ctx.needs_input_grad[0]:
            to_vectors = F.embedding_bag(chosen, matrix, per_sample_weights=weights, mode="sum")
        return to_vectors, rows, None, None


def _precision(vectors: Tensor) -> torch.dtype:
    """What a product of these would be computed in here and now."""
    device = vectors.device.type
    if torch.is_autocast_enabled(device) and vectors.dtype == torch.float32:
        return torch.get_autocast_dtype(device)
    return vectors.dtype
