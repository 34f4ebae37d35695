"""What every stage that trains a model does alike."""

from __future__ import annotations

from trivet.core.errors import ConfigError
from trivet.core.ranks import rank, world
from trivet.core.seeds import derive
from trivet.data.mixture import Batches, Mixture
from trivet.data.table import Table


def needs_model(has_parent: bool) -> None:
    """There must be a model to train."""
    if not has_parent:
        fix = "Put a start before it, or set parent"
        raise ConfigError("there is no model to train", fix=fix)


def open_batches(data: Mixture, tables: list[Table], batch: int, seed: int) -> Batches:
    """This rank's batches of tables that were opened, and perhaps cleaned."""
    order = derive(seed, "data")
    return data.open(batch=batch, seed=order, rank=rank(), world=world(), tables=tables)
