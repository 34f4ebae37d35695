"""What a model's vectors are worth at other sizes: fewer dimensions, fewer bits a number, and of a
ColBERT model fewer vectors a document.

Fewer dimensions: Kusupati et al., https://arxiv.org/abs/2205.13147; one bit with rescoring: Yamada
et al., https://arxiv.org/abs/2106.00882; fewer vectors: Clavié et al.,
https://arxiv.org/abs/2409.14683.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from trivet.bench.average import overall
from trivet.bench.evaluate import evaluate
from trivet.bench.evaluation import Evaluation
from trivet.bench.ledger import Ledger
from trivet.bench.table import table
from trivet.bench.token_sizes import TokenSize, token_sizes_of
from trivet.core.errors import ConfigError, nearest
from trivet.core.ranks import gather, rank
from trivet.retrieval.colbert import ColbertRetriever
from trivet.retrieval.dense import DenseRetriever
from trivet.retrieval.plaid import PlaidRetriever
from trivet.retrieval.stores import Kind, Rescore, bytes_per_vector

_STORES: tuple[str, ...] = get_args(Kind)
_MANY = {"1m": 1_000_000, "100m": 100_000_000}  # documents


@dataclass(frozen=True)
class Size:
    """How a vector is held."""

    dim: int
    store: Kind
    rescore: Rescore = "int8"

    @property
    def name(self) -> str:
        """Such as `192d int8`, or `192d binary+int8` where int8 vectors rescore."""
        again = "+int8" if self.store == "binary" and self.rescore == "int8" else ""
        return f"{self.dim}d {self.store}{again}"

    @property
    def bytes(self) -> int:
        """What one vector takes."""
        return bytes_per_vector(self.dim, self.store, self.rescore)

    def settings(self) -> list[str]:
        """The words that make `trivet eval` measure it."""
        words = [f"retriever.dim={self.dim}", f"retriever.store={self.store}"]
        return [*words, f"retriever.rescore={self.rescore}"] if self.store == "binary" else words

    def facts(self) -> dict[str, Any]:
        """Plain values."""
        rescore = self.rescore if self.store == "binary" else None
        return {"dim": self.dim, "store": self.store, "rescore": rescore}


@dataclass(frozen=True)
class Asked:
    """What sizes a table is to have; null is the usual ones."""

    dims: Sequence[int] | None = None
    stores: Sequence[str] | None = None
    pools: Sequence[int] | None = None
    budgets: Sequence[int] | None = None


@dataclass(frozen=True)
class Worth:
    """A size and what it reaches."""

    size: Size | TokenSize
    value: float  # the main metric, its average over tasks where there are several
    share: float  # of the whole vectors
    vectors: float = 1.0  # a document, the mean of all documents

    @property
    def bytes(self) -> float:
        """What one document's vectors take."""
        return self.vectors * self.size.bytes

    def gib(self, many: str) -> float:
        """What so many documents take."""
        return self.bytes * _MANY[many] / 2**30

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        found = {**self.size.facts(), "value": self.value, "share": self.share}
        found["bytes_per_vector"] = self.size.bytes
        if isinstance(self.size, Size):
            return found | {"gib_100m": round(self.gib("100m"), 3)}
        return found | {
            "vectors_per_document": round(self.vectors, 3),
            "bytes_per_document": round(self.bytes, 1),
            "gib_1m": round(self.gib("1m"), 3),
        }


def sizes_of(full: int, dims: Sequence[int] | None, stores: Sequence[str] | None) -> list[Size]:
    """Every dimension in every store, the whole vectors in float32 first."""
    dims = dims or [dim for dim in (full, full // 2, full // 4) if dim]
    stores = stores or _STORES
    for store in stores:
        if store not in _STORES:
            raise ConfigError(f"no store {store}", where="--stores", fix=nearest(store, _STORES))
    for dim in dims:
        if not 1 <= dim <= full:
            raise ConfigError(f"the model has {full} dimensions, not {dim}", where="--dims")
    found = [Size(full, "float32")]
    for dim, store in itertools.product(dims, stores):
        if store == "binary":
            found += [Size(dim, "binary", "int8"), Size(dim, "binary", "binary")]
        else:
            found.append(Size(dim, "int8" if store == "int8" else "float32"))
    return list(dict.fromkeys(found))


def measure_sizes(
    evaluation: Evaluation,
    asked: Asked,
    command: Callable[[Size | TokenSize, str], str],
) -> list[Worth]:
    """Encode once, measure every size, add every row; `command` names a row's (size, label) own."""
    retriever = _sizable(evaluation)
    sizes = _sizes(retriever, asked)
    ledger = Ledger(Path(evaluation.ledger).expanduser())
    ledger.check_place()
    found: dict[Size | TokenSize, dict[str, dict[str, float]]] = {size: {} for size in sizes}
    vectors = dict.fromkeys(sizes, 0)
    documents = 0
    with tempfile.TemporaryDirectory(prefix="trivet-sizes-") as room:
        if not retriever.cache.use:  # for as long as this takes
            retriever.cache.use, retriever.cache.folder = True, gather(room)[0]
        for source in evaluation.bench.tasks:
            task = source.load()
            documents += len(task.corpus)
            for size in sizes:
                one = _resized(retriever, size)
                result = evaluate(task, one, k=evaluation.depth, metrics=evaluation.bench.metrics)
                found[size][task.name] = result.metrics
                vectors[size] += result.retriever.get("vectors", len(task.corpus))
                if rank() == 0:
                    label = f"{evaluation.label or retriever.model} {size.name}"
                    words = command(size, label)
                    ledger.add(result, bench=evaluation.bench.name, command=words, label=label)
        gather(None)  # no process removes the room while another still reads
    values = [overall(found[size], evaluation.bench) for size in sizes]
    whole = values[0]
    return [
        Worth(size, value, value / whole if whole else 0.0, vectors[size] / documents)
        for size, value in zip(sizes, values, strict=True)
    ]


def size_table(found: Sequence[Worth], metric: str) -> str:
    """One line a size."""
    tokens = isinstance(found[0].size, TokenSize)
    many = "1m" if tokens else "100m"
    held = ["vectors a document", "bytes a document"] if tokens else ["bytes"]
    headers = ["vectors", metric, "of whole", *held, f"GiB for {many.upper()}"]
    cells: list[list[str]] = []
    for one in found:
        count = [f"{one.vectors:.1f}"] if tokens else []
        worth = [one.size.name, f"{one.value:.4f}", f"{one.share:.1%}"]
        cells.append([*worth, *count, f"{one.bytes:.0f}", f"{one.gib(many):.2f}"])
    return table(headers, cells)


def _sizable(evaluation: Evaluation) -> DenseRetriever | ColbertRetriever:
    retriever = evaluation.retriever
    sizable = isinstance(retriever, DenseRetriever | ColbertRetriever)
    if not sizable or isinstance(retriever, PlaidRetriever):
        fix = "Use dense or colbert"
        raise ConfigError("only vectors searched exactly have sizes", where="--retriever", fix=fix)
    return retriever


def _sizes(
    retriever: DenseRetriever | ColbertRetriever, asked: Asked
) -> list[Size] | list[TokenSize]:
    if isinstance(retriever, ColbertRetriever):
        return token_sizes_of(retriever, asked.dims, asked.stores, asked.pools, asked.budgets)
    for flag, given in (("--pools", asked.pools), ("--budgets", asked.budgets)):
        if given is not None:
            fix = "Add --retriever colbert, or leave it out"
            raise ConfigError("a dense model has one vector a document", where=flag, fix=fix)
    return sizes_of(retriever.load().dim, asked.dims, asked.stores)


def _resized(
    retriever: DenseRetriever | ColbertRetriever, size: Size | TokenSize
) -> DenseRetriever | ColbertRetriever:
    if isinstance(retriever, ColbertRetriever):
        assert isinstance(size, TokenSize)
        return retriever.resized(size.form)
    assert isinstance(size, Size)
    return retriever.resized(size.dim, size.store, size.rescore)
