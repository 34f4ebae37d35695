"""Texts by id: rows that only name their texts find them in another table.

Sets of a reranker's scores hold ids, and hold each text once, in tables of their own. A dictionary
of MS MARCO's 8.8 million passages would fill a laptop's memory, so the texts stay in mapped Arrow,
and of an id there is a hash and the row of its text: two sorted, mapped arrays, 16 bytes an id.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from trivet.core.errors import DataError
from trivet.core.files import whole_folder
from trivet.core.lock import only_one
from trivet.data.table import Record, Table


class TextsById:
    """The texts of a table, each found by the id that stands where a query would."""

    def __init__(self, table: Table, folder: Path) -> None:
        """Map the index of `table` that `open` made in `folder`."""
        self._table = table
        self._hashes: NDArray[np.uint64] = np.load(folder / "hashes.npy", mmap_mode="r")
        self._rows: NDArray[np.int64] = np.load(folder / "rows.npy", mmap_mode="r")

    @classmethod
    def open(cls, table: Table, cache: Path) -> TextsById:
        """The index of a table, made the first time it is asked for."""
        folder = cache / "texts" / f"{table.key}-ids"
        with only_one(folder.with_suffix(".lock"), wait=86400, what=f"the ids of {table.name}"):
            if not folder.is_dir():
                with whole_folder(folder) as aside:
                    _write(table, aside)
        return cls(table, folder)

    def texts(self, ids: list[str], where: str) -> list[str]:
        """The texts of some ids; one that is not there is named."""
        hashes = np.array([_hash(one) for one in ids], dtype=np.uint64)
        places = np.searchsorted(self._hashes, hashes).clip(max=len(self._rows) - 1)
        found = self._table.read(self._rows[places])
        return [
            text if name == one else self._after(int(place), one, where)
            for one, name, place, (text,) in zip(
                ids, found.queries, places, found.documents, strict=True
            )
        ]

    def _after(self, place: int, one: str, where: str) -> str:
        """The text of an id whose hash another one has, too, and stands before it."""
        while place < len(self._rows) and int(self._hashes[place]) == _hash(one):
            found = self._table.read(self._rows[place : place + 1])
            if found.queries[0] == one:
                return found.documents[0][0]
            place += 1
        raise DataError(f"no text of id {one} in {self._table.name}", where=where)


def joined(
    records: Iterator[Record | None],
    queries: TextsById | None,
    documents: TextsById | None,
) -> Iterator[Record | None]:
    """Records with texts where they had ids, on either side that has a table of texts."""
    for record in records:
        if record is not None and queries is not None:
            (query,) = queries.texts([record.query], record.where)
            record = replace(record, query=query)
        if record is not None and documents is not None:
            texts = documents.texts(record.documents, record.where)
            record = replace(record, documents=texts)
        yield record


def _write(table: Table, folder: Path) -> None:
    """Sort the ids of a table by their hashes; one that stands twice is refused."""
    hashes = np.fromiter((_hash(one) for _, one, _ in table.texts()), np.uint64, len(table))
    rows = np.argsort(hashes, kind="stable").astype(np.int64)
    hashes = hashes[rows]
    for place in np.flatnonzero(hashes[1:] == hashes[:-1]).tolist():
        one, other = table.read(rows[place : place + 2]).queries
        if one == other:
            raise DataError(f"id {one} stands twice", where=table.name)
    np.save(folder / "hashes.npy", hashes)
    np.save(folder / "rows.npy", rows)


def _hash(one: str) -> int:
    return xxhash.xxh3_64_intdigest(one.encode())
