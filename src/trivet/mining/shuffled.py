"""A buffer of hidden states: the tokens of several batches, dealt among their steps.

Tokens of one text say much the same, and a step that reads all of them learns less than one that
reads as many of different texts. Each text's tokens are dealt in turn like cards, the first to a
step that the seed draws. So what a step is dealt depends on nothing but the seed and its place: a
run that was stopped goes on to the same weights, and several ranks read what one would.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch

from trivet.core.ragged import Ragged, concatenate
from trivet.core.records import Batch
from trivet.core.seeds import derive
from trivet.data.mixture import Batches


@dataclass(frozen=True)
class Dealt(Batch):
    """A step's batch, and all those whose tokens it shares."""

    parts: list[Batch]
    share: int  # which of them it is
    number: int  # of the buffer

    @property
    def ids(self) -> list[str]:
        """Rows that its tokens may be of."""
        return [name for part in self.parts for name in part.ids]


class Shuffled:
    """Batches by step, `size` of them in a buffer."""

    def __init__(
        self, batches: Batches, states: Callable[[Batch], Ragged], size: int, seed: int
    ) -> None:
        """`states`: of a batch's texts the hidden states, (tokens, D) each."""
        self.batches, self.states, self.size, self.seed = batches, states, size, seed
        self._held: tuple[int, Ragged] | None = None  # the buffer that was read last

    def __len__(self) -> int:
        """The number of steps."""
        return len(self.batches)

    def __getitem__(self, step: int) -> Dealt:
        """The batch of a step and its neighbours."""
        own = self.batches[step]
        number, share = divmod(step, self.size)
        first = number * self.size
        steps = range(first, min(first + self.size, len(self)))
        parts = [own if other == step else self.batches[other] for other in steps]
        same = {field.name: getattr(own, field.name) for field in fields(Batch)}
        return Dealt(**same, parts=parts, share=share, number=number)

    def deal(self, batch: Batch) -> Ragged:
        """The tokens of a step, by text: a text has those that fell to this step."""
        assert isinstance(batch, Dealt)
        if self._held is None or self._held[0] != batch.number:
            self._held = None  # before the next one is read
            self._held = batch.number, concatenate([self.states(part) for part in batch.parts])
        states = self._held[1]
        count = len(batch.parts)
        starts = [
            derive(self.seed, "buffer", batch.number, part.source, row) % count
            for part in batch.parts
            for row in _rows(part)
        ]
        owners = torch.repeat_interleave(states.lengths)  # (T,) whose text a token is of
        places = torch.arange(len(owners)) - states.offsets[owners]
        mine = (torch.tensor(starts)[owners] + places) % count == batch.share
        lengths = owners[mine].bincount(minlength=len(states))
        lengths = lengths[lengths > 0]
        return Ragged(states.values[mine], torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]))


def _rows(batch: Batch) -> list[int]:
    """The row of each text: all queries, where there are such, then all documents."""
    asked = batch.rows if batch.queries and batch.queries[0] else []
    pairs = zip(batch.rows, batch.documents, strict=True)
    return [*asked, *(row for row, texts in pairs for _ in texts)]
