"""Forward and backward of a batch, whatever its size, on however many ranks.

GradCache (Gao et al., https://arxiv.org/abs/2101.06983): all texts are encoded without a graph; the
loss gives the gradient of every vector; then each micro-batch is encoded again and receives its
share. Activations of a few micro-batches are held at a time, at the price of a second forward pass
for all others, and the gradients are those of the plain loss. Where memory runs out all the same,
micro-batches are halved and the mathematics stays; only a model with dropout draws anew for that
one step.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from trivet.core.buckets import packs
from trivet.core.errors import TrivetError
from trivet.core.layers import fast_layers
from trivet.core.memory import halving, out_of_memory
from trivet.core.ragged import Ragged, concatenate
from trivet.core.ranks import gather, rank, world
from trivet.core.seeds import derive, seed_everything
from trivet.training.gather import average_gradients
from trivet.training.settings import Fit, Prepared

log = logging.getLogger("trivet")
Loss = Callable[[Any, Any], Tensor]  # of the model's vectors, a row a text, and of the targets
Vectors = Tensor | Ragged  # a vector a text, or a bag of them
Out = TypeVar("Out")


class Stepper:
    """Turns batches into gradients: of `accumulate` batches, averaged over the ranks."""

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        settings: Fit,
        *,
        budget: int,
        seed: int,
        what: str,
        hold: int = 1,
        split: bool = False,
    ) -> None:
        """`budget`: tokens per micro-batch; `seed` decides what the model draws.

        `hold`: micro-batches that GradCache keeps the activations of, and so encodes only once.
        `split`: the model's weights lie on several ranks, so all must compute as often.
        """
        self.split, self.hold = split, 0 if split else hold
        self.model, self.loss, self.settings = model, loss, settings
        self.budget, self.seed, self.what = budget, seed, what
        self.cached = settings.cached
        self.done = 0  # batches of this step whose gradients are in
        self.value = 0.0  # their mean loss, less what is to come

    def add(self, batch: Prepared, step: int) -> float:
        """Add a batch's gradients to those of its step, and return its loss."""
        seed = derive(self.seed, step, self.done, rank())
        held = [None if p.grad is None or not self.done else p.grad.clone() for p in self._params]
        found = None if self.cached else self._plain(batch, seed, held)
        value = (self._cached(batch, seed, held) if found is None else found).item()
        self.value += value / self.settings.accumulate
        self.done += 1
        return value

    def finish(self, asked: int) -> tuple[float, bool]:
        """Average the step's gradients over the ranks: their loss, and whether one was `asked`."""
        wishes = torch.tensor([self.value, float(asked > 0)], dtype=torch.float32)
        averaged = [] if self.split else self._params  # a split model averages as it goes
        mean, stop = average_gradients(averaged, wishes).tolist()
        self.done, self.value = 0, 0.0
        return mean, stop > 0

    @property
    def _params(self) -> list[nn.Parameter]:
        return [p for p in self.model.parameters() if p.requires_grad]

    def _plain(self, batch: Prepared, seed: int, held: list[Tensor | None]) -> Tensor | None:
        """With all activations held; None where they do not fit."""
        groups = packs(batch.tokens.lengths, self.budget)
        try:
            parts = [self._encode(batch.tokens, group, seed, i) for i, group in enumerate(groups)]
            value = self.loss(_in_order(parts, groups), batch.targets)
            (value / self.settings.accumulate).backward()
            return value.detach()
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            if world() > 1:  # the others would wait for ever for what this rank did already
                fix = "Set fit.cached=true"
                raise TrivetError("the memory runs out", where=self.what, fix=fix) from None
        log.warning("%s: the memory ran out; going on with fit.cached=true", self.what)
        self.cached = True
        self._put_back(held)
        return None

    def _cached(self, batch: Prepared, seed: int, held: list[Tensor | None]) -> Tensor:
        """With the activations of a few micro-batches at a time."""
        kept: dict[int, Vectors] = {}  # with their graphs

        def encoded(budget: int) -> Vectors:
            kept.clear()
            groups = packs(batch.tokens.lengths, budget)
            missing = self._missing(len(groups))
            with torch.no_grad():
                rest = [
                    self._encode(batch.tokens, group, seed, i)
                    for i, group in enumerate(groups[self.hold :], start=self.hold)
                ]
                for _ in range(missing):
                    self._encode(batch.tokens, groups[-1][:1], seed, 0)
            for i, group in enumerate(groups[: self.hold]):
                kept[i] = self._encode(batch.tokens, group, seed, i)
            return _in_order([*map(_detached, kept.values()), *rest], groups)

        def again(budget: int) -> None:
            if budget < self.budget:
                kept.clear()  # of other groups
            self._put_back(held)
            groups = packs(batch.tokens.lengths, budget)
            missing = self._missing(len(groups))
            for i, group in enumerate(groups):
                graph = kept.pop(i) if i in kept else self._encode(batch.tokens, group, seed, i)
                out = _values(graph)
                out.backward(_values(_rows(grads, group)))
                del graph, out  # before the next one is encoded
            for _ in range(missing):
                out = _values(self._encode(batch.tokens, groups[-1][:1], seed, 0))
                out.backward(torch.zeros_like(out))

        vectors = self._bounded(encoded)
        leaf = _values(vectors).requires_grad_()
        value = self.loss(vectors, batch.targets)
        (found,) = torch.autograd.grad(value / self.settings.accumulate, leaf)
        grads = Ragged(found, vectors.offsets) if isinstance(vectors, Ragged) else found
        self._bounded(again)
        return value.detach()

    def _bounded(self, work: Callable[[int], Out]) -> Out:
        """Do a pass in micro-batches that fit; ranks that share weights cannot do it anew alone."""
        if not self.split:
            out, self.budget = halving(work, self.budget, self.what)
            return out
        try:
            return work(self.budget)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            fix = f"Set machine.micro_tokens={self.budget // 2}"
            raise TrivetError("the memory runs out", where=self.what, fix=fix) from None

    def _missing(self, count: int) -> int:
        """Passes without effect that keep this rank in step with the others."""
        return max(gather(count)) - count if self.split else 0

    def _encode(self, tokens: Ragged, group: Tensor, seed: int, number: int) -> Vectors:
        seed_everything(derive(seed, number))  # so that both passes draw the same
        model: Any = self.model
        device = next(model.parameters()).device.type
        low = self.settings.precision == "bf16"
        own = tokens.select(group)  # kept states are fp16, which autocast on a CPU does not join
        layers = fast_layers(learning=device == "cpu")
        with torch.autocast(device, torch.bfloat16, enabled=low), layers:
            return model(own)

    def _put_back(self, held: list[Tensor | None]) -> None:
        for parameter, grad in zip(self._params, held, strict=True):
            parameter.grad = None if grad is None else grad.clone()


def _values(vectors: Vectors) -> Tensor:
    return vectors.values if isinstance(vectors, Ragged) else vectors


def _detached(vectors: Vectors) -> Vectors:
    if isinstance(vectors, Ragged):
        return Ragged(vectors.values.detach(), vectors.offsets)
    return vectors.detach()


def _rows(vectors: Vectors, rows: Tensor) -> Vectors:
    if isinstance(vectors, Ragged):
        return vectors.select(rows)
    return vectors[rows.to(vectors.device)]


def _in_order(parts: list[Vectors], groups: list[Tensor]) -> Vectors:
    bags = [part for part in parts if isinstance(part, Ragged)]
    found = concatenate(bags) if bags else torch.cat(cast("list[Tensor]", parts))  # (N, ...)
    return _rows(found, torch.argsort(torch.cat(groups)))
