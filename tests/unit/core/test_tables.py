import csv
import gzip
import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from trivet.core.errors import DataError
from trivet.core.tables import find_table, is_table, rows, text_field

DRAW = random.Random(0)  # texts that do not pack well, so that a cut file is cut in its rows
ROWS = [{"id": str(i), "text": f"näïve 漢 {DRAW.randbytes(40).hex()}"} for i in range(200)]
PACKED = ["", ".gz", ".zst"]
NAMES = [f"a{kind}{packed}" for kind in (".jsonl", ".csv", ".tsv") for packed in PACKED]


def pack(data, name):
    if name.endswith(".gz"):
        return gzip.compress(data)
    return zstandard.compress(data) if name.endswith(".zst") else data


def written(folder, name, items=ROWS):
    """A table of any kind and compression."""
    path = folder / name
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(items), path)
        return path
    if ".jsonl" in name:
        text = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items)
    else:
        mark = "\t" if ".tsv" in name else ","
        text = "".join(mark.join(line) + "\n" for line in [items[0], *(i.values() for i in items)])
    path.write_bytes(pack(text.encode(), name))
    return path


def raised(path):
    with pytest.raises(DataError) as caught:
        list(rows(path))
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("name", [*NAMES, "a.parquet", "a.JSONL.GZ", "a.b.csv"])
def test_every_kind_and_compression_gives_the_same_rows(tmp_path, name):
    lower = written(tmp_path, name.lower())
    path = lower.rename(tmp_path / name)
    assert is_table(path)
    assert [row for _, row in rows(path)] == ROWS


@pytest.mark.parametrize("name", NAMES)
def test_a_row_has_the_number_of_its_line(tmp_path, name):
    first = 1 if ".jsonl" in name else 2  # after the header
    numbers = [number for number, _ in rows(written(tmp_path, name))]
    assert numbers == list(range(first, first + len(ROWS)))


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_a_byte_order_mark_and_the_ends_of_lines_do_not_matter(tmp_path, start, ending):
    for name, lines in {
        "a.csv": ["id,t", "1,x", ""],
        "a.jsonl": ['{"id":"1","t":"x"}', ""],
    }.items():
        path = tmp_path / name
        path.write_bytes(start + ending.join(lines).encode())
        assert [row for _, row in rows(path)] == [{"id": "1", "t": "x"}]


def test_quotes_join_lines_in_csv_and_are_signs_in_tsv(tmp_path):
    items = [{"id": "1", "text": 'two\nlines, "quoted"'}, {"id": "2", "text": "x"}]
    with (tmp_path / "a.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, ["id", "text"])
        writer.writeheader()
        writer.writerows(items)
    assert list(rows(tmp_path / "a.csv")) == [(3, items[0]), (4, items[1])]
    (tmp_path / "a.tsv").write_text('id\ttext\n1\t"open\n2\tx\n')
    assert [row["text"] for _, row in rows(tmp_path / "a.tsv")] == ['"open', "x"]


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize(
    "line",
    [
        '{"a": 1',
        "[1]",
        "3",
        "nope",
        '{"a": 1} {}',
        pytest.param("[" * 100_000, id="deep"),
        pytest.param('{"a": ' + "9" * 5000 + "}", id="endless integer"),
        r'{"a": "half of a pair: \ud83d"}',
        r'{"a": ["\uDE00"]}',
        r'{"\ude00": 1}',
    ],
)
def test_a_broken_json_line_is_named(tmp_path, packed, line):
    path = tmp_path / f"a.jsonl{packed}"
    path.write_bytes(pack(f'{{"a": 0}}\n\n{line}\n{{"a": 2}}\n'.encode(), path.name))
    reader = rows(path)
    assert next(reader) == (1, {"a": 0})
    with pytest.raises(DataError) as caught:
        next(reader)
    assert caught.value.where == f"{path}:3"


def test_an_escaped_pair_is_one_sign_and_an_escaped_backslash_is_none(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(r'{"a": "\ud83d\ude00", "b": "\\ud83d"}')
    assert list(rows(path)) == [(1, {"a": "\N{GRINNING FACE}", "b": r"\ud83d"})]


@pytest.mark.parametrize("kind, mark", [(".csv", ","), (".tsv", "\t")])
def test_two_columns_of_one_name_are_refused(tmp_path, kind, mark):
    path = tmp_path / f"a{kind}"
    path.write_text(f"a{mark}b{mark}a\n1{mark}2{mark}3\n")
    error = raised(path)
    assert error.where == f"{path}:1" and "'a'" in error.what


def test_parquet_bytes_that_are_not_utf_8_are_named_by_their_rows(tmp_path):
    good = pa.array(["fine"] * 3)
    buffers = [None, pa.py_buffer(np.array([0, 1], dtype=np.int32)), pa.py_buffer(b"\xff")]
    bad = pa.Array.from_buffers(pa.string(), 1, buffers)
    path = tmp_path / "a.parquet"
    with pq.ParquetWriter(path, pa.schema([("a", pa.string())])) as writer:
        writer.write_table(pa.table([good], names=["a"]))
        writer.write_table(pa.table([bad], names=["a"]))
    reader = rows(path)
    assert [number for number, _ in (next(reader) for _ in range(3))] == [1, 2, 3]
    with pytest.raises(DataError, match="UTF-8") as caught:
        next(reader)
    assert caught.value.where == f"{path}:4"


@pytest.mark.parametrize("kind", [".jsonl", ".csv", ".tsv", ".parquet"])
def test_a_file_that_the_system_will_not_open_is_named(tmp_path, monkeypatch, kind):
    path = tmp_path / f"a{kind}"
    path.write_text("a")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(pq, "ParquetFile", refuse)
    error = raised(path)
    assert str(path) in error.where and "Permission denied" in error.what


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("kind", [".jsonl", ".csv", ".tsv"])
def test_another_encoding_is_named_with_a_line(tmp_path, kind, packed):
    path = tmp_path / f"a{kind}{packed}"
    path.write_bytes(pack('{"a": "é"}\n'.encode("latin-1"), path.name))
    error = raised(path)
    assert error.where == f"{path}:1" and "UTF-8" in error.fix


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("kind, mark", [(".csv", ","), (".tsv", "\t")])
@pytest.mark.parametrize("fields", [["1"], ["1", "2", "3"]])
def test_a_row_of_another_width_is_named(tmp_path, kind, mark, packed, fields):
    path = tmp_path / f"a{kind}{packed}"
    lines = [mark.join(line) for line in (["a", "b"], ["1", "2"], fields)]
    path.write_bytes(pack("\n".join(lines).encode(), path.name))
    assert raised(path).where == f"{path}:3"


def test_a_quote_left_open_in_csv_is_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('a,b\n1,2\n3,"x\n4,5\n')
    assert raised(path).where.startswith(f"{path}:")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.999])
@pytest.mark.parametrize("name", [name for name in NAMES if name[-2:] in ("gz", "st")])
def test_a_packed_file_that_was_cut_is_named_and_not_taken_for_a_short_one(tmp_path, name, share):
    path = written(tmp_path, name)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    error = raised(path)
    assert error.where.startswith(f"{path}:") and "unpacked" in error.what


@pytest.mark.parametrize("packed", [".gz", ".zst"])
def test_a_file_that_is_not_packed_as_its_name_says_is_named(tmp_path, packed):
    path = tmp_path / f"a.jsonl{packed}"
    path.write_bytes(b'{"a": 1}\n')
    assert raised(path).where == f"{path}:1"


@pytest.mark.parametrize("packed", [".gz", ".zst"])
def test_packed_parts_laid_end_to_end_are_one_file(tmp_path, packed):
    path = tmp_path / f"a.jsonl{packed}"
    path.write_bytes(b"".join(pack(f'{{"a": {i}}}\n'.encode(), path.name) for i in range(3)))
    assert [row["a"] for _, row in rows(path)] == [0, 1, 2]


def test_a_broken_parquet_file_is_named(tmp_path):
    path = written(tmp_path, "a.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    assert raised(path).where == str(path)


@pytest.mark.parametrize("name", ["a.txt", "a", "a.jsonl.bz2", "a.parquet.gz", "jsonl"])
def test_an_unknown_suffix_is_refused_with_those_there_are(tmp_path, name):
    path = tmp_path / name
    path.write_text("{}")
    error = raised(path)
    assert error.where == str(path) and ".jsonl" in error.fix


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert raised(tmp_path / "a.jsonl").where == str(tmp_path / "a.jsonl")


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_file_has_no_rows(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(pack(b"", name))
    assert list(rows(path)) == []


@pytest.mark.parametrize("name", [*NAMES, "a.parquet"])
def test_a_table_is_found_by_its_stem_alone(tmp_path, name):
    assert find_table(tmp_path, "a") is None
    path = written(tmp_path, name)
    assert find_table(tmp_path, "a") == path
    assert find_table(tmp_path, "b") is None


@pytest.mark.parametrize("row", [{}, {"text": 3}, {"text": None}, {"text": " \n"}])
def test_a_text_column_without_text_is_named(row):
    with pytest.raises(DataError) as caught:
        text_field(row, "text", "f:3")
    assert caught.value.where == "f:3" and "text" in caught.value.what
    assert text_field({"text": " a "}, "text", "f:3") == " a "
