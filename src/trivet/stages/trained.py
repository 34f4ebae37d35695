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


def needs_rows(data: Mixture, taught: str | None = None) -> None:
    """Rows must hold documents of a query; `taught`: the key of what needs their scores, too."""
    for source in data.sources:
        if taught is not None and source.kind != "tuples":
            fix = "Map columns to query, documents and scores (`trivet score` makes them)"
            what = f"{source.name} holds {source.kind} without a teacher's scores"
            raise ConfigError(what, where=taught, fix=fix)
        if source.kind == "texts":
            fix = "Map columns to query and positive"
            raise ConfigError(f"{source.name} holds texts, not pairs", where="data", fix=fix)


def open_batches(data: Mixture, tables: list[Table], batch: int, seed: int) -> Batches:
    """This rank's batches of tables that were opened, and perhaps cleaned."""
    order = derive(seed, "data")
    return data.open(batch=batch, seed=order, rank=rank(), world=world(), tables=tables)
