"""The sizes of a ColBERT model's index: fewer dimensions, fewer bits, fewer vectors a document."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from trivet.core.errors import ConfigError, nearest
from trivet.retrieval.codes import Code
from trivet.retrieval.colbert import ColbertRetriever
from trivet.retrieval.forms import Form
from trivet.retrieval.pooling import Pooling

_STORES: tuple[Code, ...] = get_args(Code)


@dataclass(frozen=True)
class TokenSize:
    """How a document's vectors are held."""

    form: Form

    @property
    def name(self) -> str:
        """Such as `48d int8`, `48d int8 pool2` or, with at most 32 vectors, `48d int8 max32`."""
        pool = self.form.pool
        words = [f"{self.form.dim}d {self.form.store}"]
        words += [f"pool{pool.factor}"] if pool.factor > 1 else []
        words += [f"max{pool.budget}"] if pool.budget is not None else []
        return " ".join(words)

    @property
    def bytes(self) -> int:
        """What one vector takes."""
        return self.form.bytes

    def settings(self) -> list[str]:
        """The words that make `trivet eval` measure it."""
        form, budget = self.form, self.form.pool.budget
        return [
            f"retriever.dim={form.dim}",
            f"retriever.store={form.store}",
            f"retriever.pool.factor={form.pool.factor}",
            f"retriever.pool.budget={'null' if budget is None else budget}",
        ]

    def facts(self) -> dict[str, Any]:
        """Plain values."""
        return self.form.facts()


def token_sizes_of(
    retriever: ColbertRetriever,
    dims: Sequence[int] | None,
    stores: Sequence[str] | None,
    pools: Sequence[int] | None,
    budgets: Sequence[int] | None,
) -> list[TokenSize]:
    """Every dimension in every store with every pooling, the whole vectors as kept first."""
    full = retriever.load().dim
    dims = dims or [dim for dim in (full, full // 2) if dim]
    for dim in dims:
        if not 1 <= dim <= full:
            raise ConfigError(f"the model has {full} dimensions, not {dim}", where="--dims")
    known = _known(retriever, stores or [retriever.keep, "int8", "binary"])
    pools = pools or ([1] if budgets else [1, 2, 4])
    poolings = [_pooling(retriever.pool, "--pools", factor=factor) for factor in pools]
    poolings += [_pooling(retriever.pool, "--budgets", budget=budget) for budget in budgets or []]
    found = [Form(full, retriever.keep, Pooling())]
    found += [
        Form(dim, store, pool) for pool, dim, store in itertools.product(poolings, dims, known)
    ]
    return [TokenSize(form) for form in dict.fromkeys(found)]


def _known(retriever: ColbertRetriever, stores: Sequence[str]) -> list[Code]:
    found: list[Code] = []
    for name in stores:
        if name not in _STORES:
            raise ConfigError(f"no store {name}", where="--stores", fix=nearest(name, _STORES))
        if name == "float32" and retriever.keep == "float16":
            fix = "Add retriever.keep=float32"
            raise ConfigError("vectors are kept in float16", where="--stores", fix=fix)
        found.append(name)
    return found


def _pooling(own: Pooling, flag: str, *, factor: int = 1, budget: int | None = None) -> Pooling:
    """The retriever's own pooling with another count."""
    try:
        made = replace(own, factor=factor, budget=budget)
    except ConfigError as error:
        raise ConfigError(error.what, where=flag, fix=error.fix) from None
    return made if made.active else Pooling()
