"""Which columns of a row mean what, and the check that they hold it."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from trivet.core.errors import ConfigError, DataError, nearest
from trivet.core.tables import text_field
from trivet.data.table import Kind, Record, parse_list

_LARGEST = 1e18  # of a score: the square of a difference is still a number of 32 bits


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
    id: str | None = None
    """The column that names a plain text, for rows elsewhere that hold its id in its stead."""

    def __post_init__(self) -> None:
        """One kind of row, all of its columns, none of another's."""
        given = set(self.mapping())
        shapes = [{"text"}, {"query", "documents", "scores"}, {"query", "positive"}]
        if given and given - {"negatives", "id"} not in shapes:
            raise ConfigError(
                f"{', '.join(sorted(given))} do not make a row",
                fix="Give query and positive, or query and documents and scores, or text",
            )
        if "negatives" in given and "positive" not in given:
            raise ConfigError("negatives need a positive")
        if "id" in given and "text" not in given:
            raise ConfigError("an id needs a text")

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

    def record(self, row: dict[str, Any], where: str, ids: Collection[str] = ()) -> Record:
        """A row as a record; what is missing or empty is named, with its place.

        `ids`: the sides, query or document, whose columns hold ids of texts in place of texts.
        """
        if self.text is not None:
            name = "" if self.id is None else _identifier(row, self.id, where)
            return Record(name, [text_field(row, self.text, where)], [], where)
        one, _ = _IDS if "query" in ids else _TEXTS
        query = one(row, str(self.query), where)
        one, each = _IDS if "document" in ids else _TEXTS
        if self.positive is not None:
            documents = [_first(row, self.positive, one, each, where)]
            for name in self.negatives or []:
                many = name in row and not isinstance(row[name], str | int)
                documents += _column(row, name, each, where) if many else [one(row, name, where)]
            return Record(query, documents, [], where)
        documents = _column(row, str(self.documents), each, where)
        scores = _column(row, str(self.scores), _score, where)
        if len(documents) != len(scores):
            raise DataError(f"{len(documents)} documents, {len(scores)} scores", where=where)
        if not documents:
            raise DataError("the list of documents is empty", where=where)
        return Record(query, documents, scores, where)


def _first(
    row: dict[str, Any],
    name: str,
    one: Callable[[dict[str, Any], str, str], str],
    each: Callable[[Any], str],
    where: str,
) -> str:
    if not isinstance(row.get(name), list):
        return one(row, name, where)
    found = _column(row, name, each, where)
    if not found:
        raise DataError(f"column {name} is an empty list", where=where)
    return found[0]


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


def _id(value: Any) -> str:
    """An id as text, whether a file holds it as text or as a whole number."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DataError(f"an id is {type(value).__name__}, not text or a whole number")
    if not str(value).strip():
        raise DataError("an id is empty")
    return str(value)


def _identifier(row: dict[str, Any], name: str, where: str) -> str:
    single = {key: [value] for key, value in row.items()}
    (found,) = _column(single, name, _id, where)
    return found


_TEXTS = (text_field, _document)  # how one is read, and each of a list
_IDS = (_identifier, _id)


def _score(value: Any) -> float:
    if isinstance(value, bool):
        raise DataError("a score is bool, not a number")
    try:
        score = float(value)
    except (TypeError, ValueError):
        raise DataError(f"a score is {value!r}, not a number") from None
    if not math.isfinite(score):
        raise DataError(f"a score is not a finite number ({value})")
    if abs(score) > _LARGEST:
        raise DataError(f"a score is too large to be learned from ({value})")
    return score
