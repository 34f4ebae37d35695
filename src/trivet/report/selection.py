"""Which rows of a ledger are meant by a label or an id, and whether they may be compared."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trivet.core.errors import ConfigError, DataError, NotComparable, TrivetError, nearest
from trivet.core.files import read_json

Row = dict[str, Any]
FIELDS = ("data", "split", "k", "drop_self", "lengths", "prompts")
_OF_MODELS = ("lengths", "prompts")  # a lexical retriever has none


@dataclass(frozen=True)
class Choice:
    """What one word of the command names: rows of one label, or one row."""

    name: str
    rows: list[Row]

    def of(self, task: str) -> list[Row]:
        """The rows of a task, the last one of each seed."""
        by_seed = {row["seed"]: row for row in self.rows if row["task"] == task}
        return [by_seed[seed] for seed in sorted(by_seed, key=lambda s: (s is not None, s or 0))]


def choose(rows: Sequence[Row], words: Sequence[str], bench: str | None) -> list[Choice]:
    """What each word names, all in one bench; the first word's bench where none is given."""
    if len(words) < 2:
        raise ConfigError("one row alone", where="compare", fix="Name a baseline and others")
    benches = {row["bench"] for row in rows}
    if bench is not None and bench not in benches:
        raise TrivetError(f"no row of bench {bench}", where="--bench", fix=nearest(bench, benches))
    if bench is None:
        benches = {row["bench"] for row in _named(rows, words[0])}
        if len(benches) > 1:
            what = f"{words[0]} was measured on {', '.join(sorted(benches))}"
            raise ConfigError(what, where="--bench", fix="Say which")
        bench = str(benches.pop())
    found = [_within(bench, _named(rows, word), word) for word in words]
    for i, j in combinations(range(len(words)), 2):
        if {row["id"] for row in found[i]} & {row["id"] for row in found[j]}:
            raise ConfigError(f"{words[i]} and {words[j]} name the same row", where="compare")
    labels = [chosen[0]["label"] for chosen in found]
    return [
        Choice(label if labels.count(label) == 1 else f"{label} ({word[:8]})", chosen)
        for label, word, chosen in zip(labels, words, found, strict=True)
    ]


def _within(bench: str, rows: list[Row], word: str) -> list[Row]:
    """Those measured on a bench, of rows that a word names."""
    inside = [row for row in rows if row["bench"] == bench]
    if not inside:
        others = " and ".join(sorted({row["bench"] for row in rows}))
        raise NotComparable(f"bench: {others}, not {bench}", where=word)
    return inside


def _named(rows: Sequence[Row], word: str) -> list[Row]:
    """The rows of a label, or the one whose id begins so."""
    by_label = [row for row in rows if row["label"] == word]
    if by_label:
        return by_label
    by_id = [row for row in rows if word and row["id"].startswith(word)]
    if len(by_id) > 1:
        what = f"{word} begins the ids of {len(by_id)} rows"
        raise TrivetError(what, where="compare", fix=f"It may be {' or '.join(_ids(by_id))}")
    if not by_id:
        fix = nearest(word, {row["label"] for row in rows})
        raise TrivetError(f"no row {word}", where="compare", fix=fix)
    return by_id


def _ids(rows: Sequence[Row]) -> list[str]:
    return [row["id"] for row in rows[:3]]


def check_comparable(rows: Sequence[Row], across: Collection[str] = ()) -> list[str]:
    """Refuse rows of a task that were measured in two ways; return the differences allowed.

    Lengths and prompts need not be those of a lexical retriever, which has none.
    """
    for name in across:
        if name not in FIELDS:
            raise ConfigError(f"no field {name}", where="--across", fix=nearest(name, FIELDS))
    allowed: list[str] = []
    for field in FIELDS:
        for one, other in combinations(_unlike(rows, field), 2):
            a, b = _value(one, field), _value(other, field)
            if a == b or (field in _OF_MODELS and (_lexical(one) or _lexical(other))):
                continue
            if field not in across:
                what = f"{field}: {_show(a)} in {_row(one)}, {_show(b)} in {_row(other)}"
                fix = f"If that is meant: --across {','.join([*across, field])}"
                raise NotComparable(what, where=one["task"], fix=fix)
            allowed.append(field)
    return list(dict.fromkeys(allowed))


def _unlike(rows: Sequence[Row], field: str) -> list[Row]:
    """One row for each value of a field, and for each kind of retriever."""
    found = {(json.dumps(_value(r, field), sort_keys=True), _lexical(r)): r for r in reversed(rows)}
    return list(found.values())[::-1]


def _value(row: Row, field: str) -> Any:
    return row["retriever"][field] if field in _OF_MODELS else row[field]


def _lexical(row: Row) -> bool:
    return not row["retriever"]["lengths"] and not row["retriever"]["prompts"]


def _row(row: Row) -> str:
    return f"{row['label']} ({row['id'][:8]})"


def _show(value: Any) -> str:
    """A value in short: of a fingerprint the beginning."""
    return value[:12] if isinstance(value, str) else json.dumps(value, sort_keys=True)


@dataclass(frozen=True)
class Scores:
    """One row's score for each query, and the relevant documents where they were kept."""

    queries: list[str]
    values: NDArray[np.float64]  # (Q,)
    relevant: dict[str, list[str]] | None


def read_scores(ledger: Path, row: Row, metric: str) -> Scores:
    """A row's scores, from the file beside the ledger."""
    path = ledger.parent / row["per_query"]
    if not path.is_file():
        fix = f"Put it there, or measure {row['label']} again"
        raise DataError(f"no scores of {_row(row)}", where=str(path), fix=fix)
    held = read_json(path)
    if metric in row["metrics"] and metric not in held:
        raise DataError(
            f"holds no {metric} of {_row(row)}", where=str(path), fix="Measure it again"
        )
    if metric not in held or metric in ("queries", "relevant"):
        fix = nearest(metric, row["metrics"])
        where = f"{row['task']}, {_row(row)}"
        raise TrivetError(f"{metric} was not measured", where=where, fix=fix)
    values = np.array(held[metric], dtype=np.float64)
    if values.shape != (len(held["queries"]),):
        what = f"{len(values)} scores of {len(held['queries'])} queries"
        raise DataError(what, where=str(path))
    return Scores(held["queries"], values, held.get("relevant"))


def aligned(scores: Sequence[Scores], rows: Sequence[Row]) -> NDArray[np.float64]:
    """(rows, Q) in the first row's order of queries; other queries are refused."""
    queries = scores[0].queries
    out: list[NDArray[np.float64]] = []
    for one, row in zip(scores, rows, strict=True):
        places = {query: i for i, query in enumerate(one.queries)}
        apart = sorted(set(queries) ^ set(places))
        if apart:
            what = (
                f"queries: {len(queries)} in {_row(rows[0])}, {len(places)} in {_row(row)}, "
                f"{apart[0]} in one only"
            )
            raise NotComparable(what, where=row["task"])
        out.append(one.values[[places[query] for query in queries]])
    return np.stack(out)
