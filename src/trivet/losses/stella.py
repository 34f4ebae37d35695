"""Three ways in which a student should resemble its teacher: direction, similarities, their order.

Zhang et al., "Jasper and Stella: distillation of SOTA embedding models",
https://arxiv.org/abs/2412.19048. The order compares every two pairs of texts, about B^4 / 8 of
them; they are gone through in blocks, so no more than a block of them is ever held.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from trivet.core.errors import ConfigError

_BLOCK = 1 << 22  # comparisons held at once


def cosine(student: Tensor, teacher: Tensor) -> Tensor:
    """One less the cosine of each row with its teacher's, mean over rows; (B, D) each."""
    return (1 - (_unit(student) * _unit(teacher)).sum(-1)).mean()


def similarity(student: Tensor, teacher: Tensor) -> Tensor:
    """The mean squared difference of the two matrices of cosines; (B, D) and (B, E)."""
    return F.mse_loss(_cosines(student), _cosines(teacher))


def relative_ranking(
    student: Tensor, teacher: Tensor, *, margin: float, block: int = _BLOCK
) -> Tensor:
    """Where the teacher finds one pair of texts closer than another, the student should, too.

    The mean over all two pairs of max(0, margin - the student's difference); where the teacher
    finds both equally close nothing is asked.

    Args:
        student: (B, D).
        teacher: (B, E).
        margin: by how much the student's cosines should differ.
        block: comparisons held at once.
    """
    mine, theirs = _cosines(student), _cosines(teacher)  # (B, B) each
    first, second = torch.triu_indices(len(mine), len(mine), 1, device=mine.device)
    return cast(Any, _Ordered).apply(mine[first, second], theirs[first, second], margin, block)


class _Ordered(torch.autograd.Function):
    """Hinges between all two of P numbers, a block at a time; the gradient is made on the way.

    The loss is linear in pieces: a number's gradient is how many hinges push it down, less how many
    push it up. So the way back needs P numbers and not P^2.
    """

    @staticmethod
    def forward(ctx: Any, mine: Tensor, theirs: Tensor, margin: float, block: int) -> Tensor:
        order = torch.argsort(theirs, descending=True, stable=True)
        student, teacher = mine[order], theirs[order]  # (P,) each
        count = len(order)
        total = torch.zeros((), dtype=torch.float64)
        grad = torch.zeros_like(student)
        rows = max(1, block // max(1, count))
        for start in range(0, count, rows):
            part = slice(start, start + rows)  # closer than all that come after, but for ties
            hinge = student[None, start:] - student[part, None] + margin  # (rows, P - start)
            active = (hinge > 0) & (teacher[part, None] > teacher[None, start:])
            total += (hinge * active).sum().double().cpu()
            grad[part] -= active.sum(1)
            grad[start:] += active.sum(0)
        compared = max(1, count * (count - 1) // 2)
        ctx.save_for_backward(torch.empty_like(grad).index_copy_(0, order, grad / compared))
        return (total / compared).to(mine.dtype).to(mine.device)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (grad,) = ctx.saved_tensors
        return grads[0] * grad, None, None, None


@dataclass
class Stella:
    """The weighted sum of the three."""

    cosine: float = 10.0
    """Weight of the direction; 0 lets the student have dimensions of its own, without a head."""
    similarity: float = 200.0
    """Weight of the similarities."""
    ranking: float = 20.0
    """Weight of their order."""
    margin: float = 0.015
    """By how much the student's similarities should differ."""
    dims: list[int] | None = None
    """Similarities and order hold for the first so many dimensions of the student, mean over these
    sizes; null is the whole vector."""

    def __post_init__(self) -> None:
        """Weights that pull, sizes that are."""
        for name in ("cosine", "similarity", "ranking", "margin"):
            if getattr(self, name) < 0:
                raise ConfigError("must not be negative", where=name)
        if self.dims is not None and (not self.dims or min(self.dims) < 1):
            raise ConfigError("sizes must be at least 1", where="dims", fix="Or leave it null")

    def __call__(self, student: Tensor, teacher: Tensor) -> Tensor:
        """(B, D) and (B, E) to one number; D is E wherever the direction counts."""
        dims = self.dims or [student.shape[1]]
        if max(dims) > student.shape[1]:
            what = f"the vectors have {student.shape[1]} dimensions, not {max(dims)}"
            raise ConfigError(what, where="dims")
        total = self.cosine * cosine(student, teacher) if self.cosine else student.new_zeros(())
        for dim in dims:
            short = student[:, :dim]  # (B, dim), made unit vectors again below
            total = total + self.similarity / len(dims) * similarity(short, teacher)
            if self.ranking:
                ranking = relative_ranking(short, teacher, margin=self.margin)
                total = total + self.ranking / len(dims) * ranking
        return total


def _unit(vectors: Tensor) -> Tensor:
    """(B, D), normalised in fp32 or better."""
    return F.normalize(vectors.to(torch.promote_types(vectors.dtype, torch.float32)), dim=-1)


def _cosines(vectors: Tensor) -> Tensor:
    """(B, B)."""
    unit = _unit(vectors)
    return unit @ unit.T
