"""What several ranks tell each other in a step: their vectors, and one sum of their gradients.

In-batch negatives come from all ranks, so a step of W ranks with B rows each has the loss and the
gradients of one rank with W x B rows. Gradients are summed here, flat, in one all-reduce a step;
the model needs no wrapper for it.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from trivet.core.ragged import Ragged
from trivet.core.ranks import gather, join, world


def gathered(rows: Tensor) -> Tensor:
    """The rows of all ranks, (W * B, …), in the order of the ranks; gradients find their way back.

    Every rank must have as many rows. The gradient of a rank's rows is the sum over all ranks'
    losses, so a loss that is a mean over this rank's queries must be averaged over the ranks.
    """
    if world() == 1:
        return rows
    join()
    import torch.distributed.nn.functional as functional

    if rows.requires_grad:
        return torch.cat(functional.all_gather(rows.contiguous()))
    out = [torch.empty_like(rows) for _ in range(world())]
    torch.distributed.all_gather(out, rows.contiguous())
    return torch.cat(out)


def summed(own: Tensor) -> Tensor:
    """The sum over the ranks of what each has; no gradient flows through it."""
    return gathered(own.detach()[None]).sum(0)


def gathered_bags(bags: Ragged) -> Ragged:
    """The bags of all ranks, in the order of the ranks: filled up on the way, cut again here."""
    if world() == 1:
        return bags
    sizes = gather(len(bags.values))
    lengths = gathered(bags.lengths.to(bags.values.device))
    filled = bags.values.new_zeros(max(sizes) - len(bags.values), bags.values.shape[1])
    values = gathered(torch.cat([bags.values, filled])).split(max(sizes))
    found = torch.cat([part[:size] for part, size in zip(values, sizes, strict=True)])
    return Ragged(found, torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]))


def average_gradients(parameters: Iterable[nn.Parameter], extras: Tensor) -> Tensor:
    """Average gradients over the ranks in place, and return the average of `extras` (E,).

    One all-reduce takes both. A parameter without a gradient counts as zero.
    """
    if world() == 1:
        return extras
    distributed = join()
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in trained:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    grads = [parameter.grad for parameter in trained if parameter.grad is not None]
    extras = extras.to(grads[0]) if grads else extras
    flat = torch.cat([*(grad.reshape(-1) for grad in grads), extras])
    distributed.all_reduce(flat)
    flat /= world()
    start = 0
    for grad in grads:
        grad.copy_(flat[start : start + grad.numel()].view_as(grad))
        start += grad.numel()
    return flat[start:]
