"""Which columns of a row mean what, and the check that they hold it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from trivet.core.errors import ConfigError, DataError, nearest
from trivet.core.tables import text_field
from trivet.data.table import Kind, Record, parse_list

_LARGEST = float(np.finfo(np.float32).max)  # a larger one would be infinite in Arrow


@dataclass
class Columns:
    """Pairs (query, positive, perhaps negatives), tuples (query, documents, scores), or texts."""

    query: str | None = None
    """The column that holds the query."""
    positive: str | None = None
    """The column that holds a document which answers it, or a list whose first one does."""
    negatives: list[str] | None = None
    """Columns of documents that do not; a single list-valued column works too."""
    documents: str | None = None
    """A list-valued column of documents."""
    scores: str | None = None
    """A list-valued column of their scores by a teacher."""
    text: str | None = None
    """The column that holds a plain text."""

    def __post_init__(self) -> None:
        """One kind of row, all of its columns, none of another's."""
        given = set(self.mapping())
        shapes = [{"text"}, {"query", "documents", "scores"}, {"query", "positive"}]
        if given and given - {"negatives"} not in shapes:
            raise ConfigError(
                f"{', '.join(sorted(given))} do not make a row",
                where="columns",
                fix="Give query and positive, or query and documents and scores, or text",
            )
        if "negatives" in given and "positive" not in given:
            raise ConfigError("negatives need a positive", where="columns")

    @property
    def kind(self) -> Kind | None:
        """What a row is; None where nothing is mapped."""
        if self.text is not None:
            return "texts"
        if self.documents is not None:
            return "tuples"
        return "pairs" if self.positive is not None else None

    def mapping(self) -> dict[str, Any]:
        """The columns that are mapped."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def record(self, row: dict[str, Any], where: str) -> Record:
        """A row as a record; what is missing or empty is named, with its place."""
        if self.text is not None:
            return Record("", [text_field(row, self.text, where)], [], where)
        query = text_field(row, str(self.query), where)
        if self.positive is not None:
            documents = [self._first(row, self.positive, where)]
            for name in self.negatives or []:
                documents += self._negatives(row, name, where)
            return Record(query, documents, [], where)
        documents = _column(row, str(self.documents), _document, where)
        scores = _column(row, str(self.scores), _score, where)
        if len(documents) != len(scores):
            raise DataError(f"{len(documents)} documents, {len(scores)} scores", where=where)
        if not documents:
            raise DataError("the list of documents is empty", where=where)
        return Record(query, documents, scores, where)

    def _first(self, row: dict[str, Any], name: str, where: str) -> str:
        if not isinstance(row.get(name), list):
            return text_field(row, name, where)
        found = _column(row, name, _document, where)
        if not found:
            raise DataError(f"column {name} is an empty list", where=where)
        return found[0]

    def _negatives(self, row: dict[str, Any], name: str, where: str) -> list[str]:
        if name in row and not isinstance(row[name], str):
            return _column(row, name, _document, where)
        return [text_field(row, name, where)]


def _column(row: dict[str, Any], name: str, convert: Callable[[Any], Any], where: str) -> list[Any]:
    if name not in row:
        raise DataError(f"no column {name}", where=where, fix=nearest(name, row))
    return parse_list(row[name], convert, where)


def _document(value: Any) -> str:
    if not isinstance(value, str):
        raise DataError(f"a document is {type(value).__name__}, not text")
    if not value.strip():
        raise DataError("a document is empty")
    return value


def _score(value: Any) -> float:
    if isinstance(value, bool):
        raise DataError("a score is bool, not a number")
    score = float(value)
    if not abs(score) <= _LARGEST:  # nor is nan
        raise DataError(f"a score is not a finite number of 32 bits ({value})")
    return score
