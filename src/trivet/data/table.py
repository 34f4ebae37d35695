"""A source's rows in memory-mapped Arrow: any row at once, and no more memory than is read."""

from __future__ import annotations

import ast
import json
import mmap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trivet.core.errors import DataError, TrivetError
from trivet.core.files import read_json, whole_folder, write_json
from trivet.core.lock import only_one
from trivet.core.progress import Progress
from trivet.core.records import Batch

Kind = Literal["pairs", "tuples", "texts"]
_ROWS = 8192
_LET_GO = 256  # rows read between two times that the file's pages are let go of
_SCHEMA = pa.schema(
    [
        ("query", pa.large_string()),
        ("documents", pa.large_list(pa.large_string())),
        ("scores", pa.large_list(pa.float32())),
    ]
)


@dataclass(frozen=True)
class Record:
    """One row on its way into Arrow."""

    query: str
    documents: list[str]
    scores: list[float]
    where: str = ""  # the file and line it came from


def write_table(folder: Path, records: Iterator[Record | None], kind: Kind, name: str) -> None:
    """Stream records into an Arrow file; the folder appears only when all of them are in it.

    None is a row that was seen and left out; it is counted.
    """
    with only_one(folder.with_suffix(".lock"), wait=86400, what="this source"):
        if (folder / "index.json").is_file():
            return
        with whole_folder(folder) as aside, Progress(f"read {name}", 0, "row") as progress:
            count, width, counted = 0, None, Counted(records)
            with (
                pa.OSFile(str(aside / "rows.arrow"), "wb") as sink,
                pa.ipc.new_file(sink, _SCHEMA) as writer,
            ):
                for rows in _in_chunks(counted):
                    width = len(rows[0].documents) if width is None else width
                    for row in rows:
                        if len(row.documents) != width:
                            raise DataError(
                                f"{len(row.documents)} documents where the first row has {width}",
                                where=row.where or name,
                                fix="All rows of a source must have as many",
                            )
                    columns = [
                        [row.query for row in rows],
                        [row.documents for row in rows],
                        [row.scores for row in rows],
                    ]
                    arrays = [
                        pa.array(column, field.type)
                        for column, field in zip(columns, _SCHEMA, strict=True)
                    ]
                    writer.write_batch(pa.record_batch(arrays, schema=_SCHEMA))
                    count += len(rows)
                    progress.add(len(rows))
            if count == 0:
                raise DataError("holds no rows", where=name)
            index = {"kind": kind, "rows": count, "seen": counted.seen, "batch": _ROWS}
            write_json(aside / "index.json", index)


class Counted:
    """The records among rows, and how many rows there were."""

    def __init__(self, rows: Iterable[Record | None]) -> None:
        """Nothing is read yet."""
        self._rows, self.seen = rows, 0

    def __iter__(self) -> Iterator[Record]:
        """What was not left out."""
        for row in self._rows:
            self.seen += 1
            if row is not None:
                yield row


class Chunks:
    """The chunks of a mapped Arrow file.

    A page that was read stays in the process' memory until the system needs it, so random reads of
    a large file look like a leak, and count against the memory limit of a batch job. Letting go of
    them now and then keeps them in the system's cache alone, where reading them again is cheap.
    """

    def __init__(self, path: Path) -> None:
        """Map the file; nothing of it is read yet."""
        with path.open("rb") as stream:
            self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        self._file = pa.ipc.open_file(pa.py_buffer(self._map))
        self._chunks: dict[int, Any] = {}  # opening one costs more than reading a row of it
        self._reads = 0

    def row(self, row: int) -> tuple[str, list[str], list[float]]:
        """One row: query, documents, scores."""
        number, place = divmod(row, _ROWS)
        if number not in self._chunks:
            self._chunks[number] = self._file.get_batch(number).columns
        self._reads += 1
        if self._reads % _LET_GO == 0:
            self._let_go()
        query, documents, scores = (column[place].as_py() for column in self._chunks[number])
        return query, documents, scores

    def chunk(self, number: int) -> dict[str, list[Any]]:
        """All rows of a chunk, by column."""
        found = self._file.get_batch(number).to_pydict()
        self._let_go()
        return found

    def _let_go(self) -> None:
        if hasattr(mmap, "MADV_DONTNEED"):  # Windows has none
            self._map.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True)
class Table:
    """The rows of a source, or some of them."""

    name: str
    kind: Kind
    prompts: dict[str, str]
    in_domain: bool
    size: int
    key: str  # names the rows: what they were made from, and how
    _chunks: Chunks
    _kept: NDArray[np.int64] | None = None

    @classmethod
    def open(cls, folder: Path, name: str, prompts: dict[str, str], in_domain: bool) -> Table:
        """Map an Arrow folder into memory."""
        index = read_json(folder / "index.json")
        chunks = Chunks(folder / "rows.arrow")
        return cls(name, index["kind"], prompts, in_domain, index["rows"], folder.name, chunks)

    def __len__(self) -> int:
        """The number of rows."""
        return self.size if self._kept is None else len(self._kept)

    def read(self, rows: NDArray[np.int64]) -> Batch:
        """Some rows, in the order named."""
        rows = rows if self._kept is None else self._kept[rows]
        found = [self._chunks.row(int(row)) for row in rows]
        scores = [scores for _, _, scores in found]
        return Batch(
            source=self.name,
            rows=[int(row) for row in rows],
            queries=[query for query, _, _ in found],
            documents=[documents for _, documents, _ in found],
            scores=scores if self.kind == "tuples" else None,
            prompts=self.prompts,
        )

    def texts(self) -> Iterator[tuple[int, str, list[str]]]:
        """All rows in order: position, query, documents; a chunk of them in memory at a time."""
        chunk, number = None, -1
        for position in range(len(self)):
            row = position if self._kept is None else int(self._kept[position])
            if row // _ROWS != number:
                number = row // _ROWS
                chunk = self._chunks.chunk(number)
            assert chunk is not None
            yield position, chunk["query"][row % _ROWS], chunk["documents"][row % _ROWS]

    def keep(self, positions: NDArray[np.int64]) -> Table:
        """A view on some rows."""
        kept = positions if self._kept is None else self._kept[positions]
        return replace(self, _kept=kept)


def _in_chunks(records: Iterable[Record]) -> Iterator[list[Record]]:
    chunk: list[Record] = []
    for record in records:
        chunk.append(record)
        if len(chunk) == _ROWS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def parse_list(value: Any, convert: Callable[[Any], Any], where: str) -> list[Any]:
    """A list that a column holds, also where a file stores it as text, JSON's or Python's."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            try:
                value = ast.literal_eval(value)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                raise DataError(f"not a list ({error})", where=where) from None
    if not isinstance(value, list):
        raise DataError(f"expected a list, not {type(value).__name__}", where=where)
    try:
        return [convert(item) for item in value]
    except (TypeError, ValueError, TrivetError) as error:
        raise DataError(str(error), where=where) from None
