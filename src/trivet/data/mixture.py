"""Batches from one source at a time, each a pure function of its step.

Nothing is drawn while training: the source of every step is laid out at the start, and a row's
place in the shuffled order is computed. So the position to save is the step alone, and all ranks
agree without a word. The report trains one source after another (https://arxiv.org/abs/2510.14880);
proportional and temperature interleave them.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trivet.core.errors import ConfigError, DataError
from trivet.core.permutation import permute
from trivet.core.records import Batch
from trivet.core.schema import unkeyed
from trivet.core.seeds import derive
from trivet.data.sources import Source
from trivet.data.table import Table

log = logging.getLogger("trivet")

Order = Literal["sequential", "proportional", "temperature"]


@dataclass
class Family:
    """Sources that were published together."""

    sources: list[Source] = field(default_factory=list[Source])
    """Of the mixture, in this order; none where it is not known what the family was."""
    rows: int | None = None
    """How many rows the recipe's report counts for all of them, after sampling; plans show it."""

    def __post_init__(self) -> None:
        """There must be something to show."""
        if not self.sources and self.rows is None:
            raise ConfigError("neither sources nor rows", where="sources")


@dataclass
class Mixture:
    """Sources and the order their batches come in."""

    sources: list[Source] = field(default_factory=list[Source])
    """At least one, here or in a family; those of the families come first."""
    order: Order = "sequential"
    """One after another; interleaved by size; or interleaved by size^(1/temperature)."""
    temperature: float = 1.0
    """Above 1 small sources come more often than their size says."""
    epochs: int = 1
    """How often the data is gone through."""
    skip_small: bool = unkeyed(False)  # the same rows and batch leave the same sources out
    """Leave out a source of less than one batch, rather than refuse it."""
    families: dict[str, Family] = unkeyed(factory=dict)  # only another way to write sources
    """Sources by where they come from, one config file each."""

    def __post_init__(self) -> None:
        """At least one source, names that differ, counts above 0."""
        within = [source for family in self.families.values() for source in family.sources]
        own = [source for source in self.sources if not any(source is one for one in within)]
        self.sources = within + own
        for source in self.sources:
            if source.columns.id is not None:
                fix = "Leave columns.id out, or give it as another source's query_texts"
                raise ConfigError("holds texts by id, not rows", where=source.name, fix=fix)
        names = [source.name for source in self.sources]
        if not names:
            raise ConfigError("no source", where="sources")
        if len(set(names)) < len(names):
            raise ConfigError("two sources have one name", where="sources")
        if self.temperature <= 0:
            raise ConfigError("must be above 0", where="temperature")
        if self.temperature != 1.0 and self.order != "temperature":
            fix = "Set order=temperature"
            raise ConfigError(
                f"means nothing with order={self.order}", where="temperature", fix=fix
            )
        if self.epochs < 1:
            raise ConfigError("must be at least 1", where="epochs")

    def open(
        self,
        cache: Path | None = None,
        *,
        batch: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        tables: list[Table] | None = None,
    ) -> Batches:
        """Lay out the steps. `tables` stand in for the sources' own, after cleaning."""
        tables = tables or [source.open(cache) for source in self.sources]
        if batch % world:
            fix = "Make batch a multiple of the number of ranks"
            raise ConfigError(
                f"{batch} rows cannot be shared by {world} ranks", where="batch", fix=fix
            )
        for table in tables:
            if len(table) < batch:
                what = f"holds {len(table)} rows, less than one batch of {batch}"
                if not self.skip_small:
                    fix = "Lower batch, or set skip_small=true"
                    raise DataError(what, where=table.name, fix=fix)
                log.warning("%s: %s, and is left out", table.name, what)
        tables = [table for table in tables if len(table) >= batch]
        if not tables:
            fix = "Lower batch"
            raise DataError(f"no source has a batch of {batch}", where="sources", fix=fix)
        per_epoch = np.array([len(table) // batch for table in tables])
        plan = _layout(self, per_epoch, seed)
        return Batches(tables, per_epoch, plan, batch, seed, rank, world)


class Batches:
    """The batches of a mixture by step."""

    def __init__(
        self,
        tables: list[Table],
        per_epoch: NDArray[np.int64],
        plan: NDArray[np.int64],
        batch: int,
        seed: int,
        rank: int,
        world: int,
    ) -> None:
        """`plan` names the source of each step; the nth batch of a source is its nth step."""
        self.tables, self.per_epoch, self.plan = tables, per_epoch, plan
        self.batch, self.seed, self.rank, self.world = batch, seed, rank, world
        self.nth = np.empty_like(plan)
        for source in range(len(tables)):
            mine = plan == source
            self.nth[mine] = np.arange(mine.sum())

    def __len__(self) -> int:
        """The number of steps."""
        return len(self.plan)

    def __getitem__(self, step: int) -> Batch:
        """This rank's rows of a step."""
        if not 0 <= step < len(self):
            raise IndexError(step)
        source = int(self.plan[step])
        table = self.tables[source]
        epoch, place = divmod(int(self.nth[step]), int(self.per_epoch[source]))
        positions = np.arange(place * self.batch, (place + 1) * self.batch, dtype=np.int64)
        order = derive(self.seed, table.name, epoch)
        return table.read(permute(positions, len(table), order)[self.rank :: self.world])


def _layout(mixture: Mixture, per_epoch: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """The source of every step."""
    numbers = np.arange(len(per_epoch))
    if mixture.order == "sequential":
        return np.tile(np.repeat(numbers, per_epoch), mixture.epochs)
    random = np.random.Generator(np.random.PCG64(derive(seed, "order")))
    if mixture.order == "proportional":  # shuffled by epoch: none begins before the last has ended
        plan = np.repeat(numbers, per_epoch)
        return np.concatenate([random.permutation(plan) for _ in range(mixture.epochs)])
    total = int(per_epoch.sum()) * mixture.epochs
    shares = per_epoch ** (1.0 / mixture.temperature)
    exact = total * shares / shares.sum()
    counts = np.floor(exact).astype(np.int64)
    left = total - int(counts.sum())  # goes to the largest remainders
    counts[np.argsort(counts - exact, kind="stable")[:left]] += 1
    return random.permutation(np.repeat(numbers, counts))
