"""Rows from files: jsonl, csv, tsv and parquet, packed or not, each with its line number."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from trivet.core.errors import DataError

Row = tuple[int, dict[str, Any]]
_KINDS = (".jsonl", ".csv", ".tsv", ".parquet")
_PACKED = ("", ".gz", ".zst")


def find_table(folder: Path, stem: str) -> Path | None:
    """The file of that name in a folder, whatever its kind and compression."""
    for kind in _KINDS:
        for packed in _PACKED:
            path = folder / f"{stem}{kind}{packed}"
            if path.is_file():
                return path
    return None


def is_table(path: Path) -> bool:
    """Whether a file's name is one that `rows` reads."""
    return _split(path)[0] in _KINDS


def rows(path: Path) -> Iterator[Row]:
    """Stream a file's rows with their line numbers, from 1; a broken one is named and ends it."""
    kind, _ = _split(path)
    if not path.is_file():
        raise DataError("no such file", where=str(path))
    if kind not in _KINDS:
        fix = "Use .jsonl, .csv, .tsv or .parquet, the first three also as .gz or .zst"
        raise DataError("a kind of file that is not read", where=str(path), fix=fix)
    if kind == ".parquet":
        return _parquet(path)
    return _json_rows(path) if kind == ".jsonl" else _separated(path, kind)


@contextmanager
def open_text(path: Path) -> Generator[IO[str]]:
    """A text file, unpacked while it is read; UTF-8, with or without a byte order mark."""
    with path.open("rb") as raw:
        packed = _split(path)[1]
        stream: Any = raw
        if packed == ".gz":
            stream = gzip.GzipFile(fileobj=raw)
        elif packed == ".zst":
            stream = _Zstd(raw)
        with io.TextIOWrapper(io.BufferedReader(stream), "utf-8-sig", newline="") as text:
            yield text


class _Zstd(io.RawIOBase):
    """The content of a zstd file. The library's own reader ends in silence where a file is cut."""

    def __init__(self, packed: IO[bytes]) -> None:
        import zstandard

        self._new = zstandard.ZstdDecompressor().decompressobj
        self._packed, self._frame, self._ready = packed, self._new(), memoryview(b"")
        self._begun = False  # whether the frame has had a byte

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._ready:
            more = (self._frame.unused_data if self._frame.eof else b"") or self._packed.read(
                1 << 17
            )
            if not more:
                if self._begun and not self._frame.eof:
                    raise EOFError("the file ends within a frame")
                return 0
            if self._frame.eof:
                self._frame = self._new()
            self._begun = True
            self._ready = memoryview(self._frame.decompress(more))
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size


def _undecodable(path: Path) -> int:
    """The first line that is not UTF-8: text is decoded in pieces, ahead of its lines."""
    with open_text(path) as text:
        for number, line in enumerate(getattr(text, "buffer"), 1):  # noqa: B009
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 0


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines; what cannot be unpacked or decoded is named by the line it follows."""
    import zstandard

    number = 0
    try:
        with open_text(path) as text:
            for line in text:
                number += 1
                yield number, line
    except UnicodeDecodeError as error:
        where = f"{path}:{_undecodable(path) or number + 1}"
        fix = "Convert the file to UTF-8"
        raise DataError(f"not UTF-8 ({error.reason})", where=where, fix=fix) from None
    except (zstandard.ZstdError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"cannot be unpacked ({error})", where=f"{path}:{number + 1}", fix="Get the file again"
        ) from None
    except OSError as error:  # no permission, a disk or a network folder that fails
        raise DataError(
            f"cannot be read ({error.strerror or error})", where=f"{path}:{number + 1}"
        ) from None


def _json_rows(path: Path) -> Iterator[Row]:
    for number, line in lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if "\\ud" in line or "\\uD" in line:  # half of an escaped pair is no text
                json.dumps(row, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise DataError(f"not Unicode ({error.reason})", where=f"{path}:{number}") from None
        except (ValueError, RecursionError) as error:  # ValueError: an endless integer, too
            raise DataError(f"not JSON ({error})", where=f"{path}:{number}") from None
        if not isinstance(row, dict):
            raise DataError("not a JSON object", where=f"{path}:{number}")
        yield number, row


def _separated(path: Path, kind: str) -> Iterator[Row]:
    """CSV and TSV with a header. A TSV has no quoting, as in BEIR's qrels."""
    csv.field_size_limit(2**31 - 1)
    text = (line for _, line in lines(path))
    reader = (
        csv.reader(text, delimiter="\t", quoting=csv.QUOTE_NONE)
        if kind == ".tsv"
        else csv.reader(text, strict=True)
    )
    try:
        header = next(reader, None)
        if header is None:
            return
        for name in header:
            if header.count(name) > 1:
                fix = "Rename one of them"
                raise DataError(f"two columns {name!r}", where=f"{path}:1", fix=fix)
        for fields in reader:
            if not fields or fields == [""]:
                continue
            if len(fields) != len(header):
                raise DataError(
                    f"{len(fields)} fields where the header has {len(header)}",
                    where=f"{path}:{reader.line_num}",
                )
            yield reader.line_num, dict(zip(header, fields, strict=True))
    except csv.Error as error:
        raise DataError(f"not a table ({error})", where=f"{path}:{reader.line_num}") from None


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as table:
            number = 0
            for group in range(table.num_row_groups):  # all at once would hold on to every one read
                for batch in table.iter_batches(batch_size=4096, row_groups=[group]):
                    try:
                        found = batch.to_pylist()
                    except UnicodeDecodeError as error:
                        last = number + len(batch)
                        what = f"not UTF-8 ({error.reason}), in this row or before row {last + 1}"
                        raise DataError(what, where=f"{path}:{number + 1}") from None
                    for row in found:
                        number += 1
                        yield number, row
    except (pa.ArrowException, OSError) as error:
        text = str(error).splitlines()[0]
        raise DataError(f"not a parquet file ({text})", where=str(path)) from None


def _split(path: Path) -> tuple[str, str]:
    """A file's kind and its compression."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes.pop() if suffixes and suffixes[-1] in _PACKED[1:] else ""
    kind = suffixes[-1] if suffixes else ""
    return (kind + packed if kind == ".parquet" else kind), packed  # parquet packs its own pages


def text_field(row: dict[str, Any], name: str, where: str, names: Iterable[str] = ()) -> str:
    """One column of a row as text; a missing column or an empty text is named."""
    from trivet.core.errors import nearest

    if name not in row:
        raise DataError(f"no column {name}", where=where, fix=nearest(name, names or row))
    value = row[name]
    if not isinstance(value, str):
        raise DataError(f"column {name} holds {type(value).__name__}, not text", where=where)
    if not value.strip():
        raise DataError(f"column {name} is empty", where=where)
    return value
