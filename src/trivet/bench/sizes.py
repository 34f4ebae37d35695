"""What a dense model's vectors are worth at other sizes: fewer dimensions, fewer bits a number.

Fewer dimensions: Kusupati et al., https://arxiv.org/abs/2205.13147; one bit with rescoring: Yamada
et al., https://arxiv.org/abs/2106.00882.
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
from trivet.core.errors import ConfigError, nearest
from trivet.core.ranks import gather, rank
from trivet.retrieval.dense import DenseRetriever
from trivet.retrieval.stores import Kind, Rescore, bytes_per_vector

_STORES: tuple[str, ...] = get_args(Kind)
_MANY = 100_000_000  # vectors


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


@dataclass(frozen=True)
class Worth:
    """A size and what it reaches."""

    size: Size
    value: float  # the main metric, its average over tasks where there are several
    share: float  # of the whole vectors in float32

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "dim": self.size.dim,
            "store": self.size.store,
            "rescore": self.size.rescore if self.size.store == "binary" else None,
            "value": self.value,
            "share": self.share,
            "bytes_per_vector": self.size.bytes,
            "gib_100m": round(self.size.bytes * _MANY / 2**30, 3),
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
    dims: Sequence[int] | None,
    stores: Sequence[str] | None,
    command: Callable[[Size, str], str],
) -> list[Worth]:
    """Encode once, measure every size, add every row; `command` names a row's (size, label) own."""
    retriever = evaluation.retriever
    if not isinstance(retriever, DenseRetriever):
        raise ConfigError("only dense vectors have sizes", where="--retriever", fix="Use dense")
    sizes = sizes_of(retriever.load().dim, dims, stores)
    ledger = Ledger(Path(evaluation.ledger).expanduser())
    ledger.check_place()
    found: dict[Size, dict[str, dict[str, float]]] = {size: {} for size in sizes}
    with tempfile.TemporaryDirectory(prefix="trivet-sizes-") as room:
        if not retriever.cache.use:  # for as long as this takes
            retriever.cache.use, retriever.cache.folder = True, gather(room)[0]
        for source in evaluation.bench.tasks:
            task = source.load()
            for size in sizes:
                one = retriever.resized(size.dim, size.store, size.rescore)
                result = evaluate(task, one, k=evaluation.depth, metrics=evaluation.bench.metrics)
                found[size][task.name] = result.metrics
                if rank() == 0:
                    label = f"{evaluation.label or retriever.model} {size.name}"
                    words = command(size, label)
                    ledger.add(result, bench=evaluation.bench.name, command=words, label=label)
        gather(None)  # no process removes the room while another still reads
    values = [overall(found[size], evaluation.bench) for size in sizes]
    whole = values[0]
    return [
        Worth(size, value, value / whole if whole else 0.0)
        for size, value in zip(sizes, values, strict=True)
    ]


def size_table(found: Sequence[Worth], metric: str) -> str:
    """One line a size."""
    headers = ["vectors", metric, "of whole", "bytes", "GiB for 100M"]
    cells = [
        [
            one.size.name,
            f"{one.value:.4f}",
            f"{one.share:.1%}",
            str(one.size.bytes),
            f"{one.as_json()['gib_100m']:.2f}",
        ]
        for one in found
    ]
    return table(headers, cells)
