"""Quality against what it costs: bytes of the index, time of a query, parameters of the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from trivet.report.site.boards import Board

Row = dict[str, Any]


@dataclass(frozen=True)
class Point:
    """One label: its quality and what it costs; None where rows do not say."""

    label: str
    quality: float
    in_domain: bool
    bytes_per_document: float | None
    seconds_per_query: float | None
    parameters: int | None

    @property
    def milliseconds(self) -> float | None:
        """Of a query."""
        return None if self.seconds_per_query is None else self.seconds_per_query * 1000


COSTS: dict[str, Callable[[Point], float | None]] = {
    "index bytes a document": lambda point: point.bytes_per_document,
    "milliseconds a query": lambda point: point.milliseconds,
    "parameters": lambda point: point.parameters,
}


def points(board: Board) -> list[Point]:
    """The labels that have every task, the best first."""
    lines = board.overall
    out: list[Point] = []
    for choice in board.ordered():
        if choice.name in lines:
            line = lines[choice.name]
            rows = choice.rows
            out.append(
                Point(
                    label=choice.name,
                    quality=line.mean,
                    in_domain=line.in_domain,
                    bytes_per_document=_bytes(rows),
                    seconds_per_query=_mean(
                        sum(row["seconds"].get("search", 0.0) for row in rows),
                        sum(row["queries"] for row in rows),
                    ),
                    parameters=_parameters(rows[0]["retriever"]),
                )
            )
    return out


def _mean(total: float, count: float) -> float | None:
    """None where nothing was counted: what costs nothing was not measured."""
    return total / count if count and total else None


def _bytes(rows: Sequence[Row]) -> float | None:
    """Of vectors; a lexical index does not say its size."""
    total = documents = 0
    for row in rows:
        each = row["retriever"].get("bytes_per_vector")
        if not isinstance(each, int | float) or row["retriever"].get("parts"):
            return None
        total += each * row["retriever"].get("vectors", row["documents"])
        documents += row["documents"]
    return _mean(total, documents)


def _parameters(retriever: dict[str, Any]) -> int | None:
    """Of all its models."""
    parts = retriever.get("parts")
    if isinstance(parts, dict):
        known = [_parameters(part) for part in parts.values() if part.get("model_key")]
        return sum(n for n in known if n) if known and None not in known else None
    return retriever.get("parameters")


def frontier(found: Sequence[Point], cost: Callable[[Point], float | None]) -> list[Point]:
    """Those that no other beats in quality at the same cost or less, the cheapest first.

    A model that was trained on what is measured takes no part beside those that were not.
    """
    alone = all(point.in_domain for point in found)
    priced = [(cost(point), point) for point in found if alone or not point.in_domain]
    known = [(price, point) for price, point in priced if price is not None]
    best: list[Point] = []
    for _, point in sorted(known, key=lambda pair: (pair[0], -pair[1].quality)):
        if not best or point.quality > best[-1].quality:
            best.append(point)
    return best
