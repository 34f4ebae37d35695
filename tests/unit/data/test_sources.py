import csv
import gzip
import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from trivet.core.artifact import Store
from trivet.core.errors import ArtifactError, ConfigError, DataError
from trivet.data.columns import Columns
from trivet.data.sources import Source

PAIRS = Columns(query="q", positive="p")
ROWS = [
    {"q": 'what is "tea"', "p": "a drink, hot"},
    {"q": "où est la gare", "p": "là-bas"},
    {"q": "third", "p": "3"},
]


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_csv(path, rows):
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_tsv(path, rows):
    lines = ["\t".join(line) for line in [list(rows[0]), *(row.values() for row in rows)]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_parquet(path, rows):
    pq.write_table(pa.Table.from_pylist(rows), path)


WRITERS = {".jsonl": write_jsonl, ".csv": write_csv, ".tsv": write_tsv, ".parquet": write_parquet}
PACKERS = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}
KINDS = [(kind, pack) for kind in WRITERS for pack in PACKERS if kind != ".parquet" or not pack]


def write(folder, kind=".jsonl", packed="", rows=ROWS, stem="rows"):
    folder.mkdir(parents=True, exist_ok=True)
    plain = folder / f"{stem}{kind}"
    WRITERS[kind](plain, rows)
    path = folder / f"{stem}{kind}{packed}"
    path.write_bytes(PACKERS[packed](plain.read_bytes()))
    if path != plain:
        plain.unlink()
    return path


def contents(table):
    got = table.read(np.arange(len(table)))
    return list(zip(got.queries, got.documents, strict=True))


def left(cache):
    """What stands in a cache, locks aside."""
    return [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]


EXPECTED = [(row["q"], [row["p"]]) for row in ROWS]


@pytest.mark.parametrize(("kind", "packed"), KINDS)
def test_every_kind_of_file_makes_the_same_table(tmp_path, kind, packed):
    path = write(tmp_path / "data", kind, packed)
    source = Source("s", columns=PAIRS, path=str(path))
    assert contents(source.open(tmp_path / "cache")) == EXPECTED


def test_a_byte_order_mark_and_other_line_ends_change_nothing(tmp_path):
    path = tmp_path / "rows.csv"
    write_csv(path, ROWS)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\r\n", b"\n"))
    assert contents(Source("s", columns=PAIRS, path=str(path)).open(tmp_path / "c")) == EXPECTED


def test_a_folder_is_its_files_in_order_of_their_names(tmp_path):
    write(tmp_path / "data", ".parquet", rows=ROWS[1:], stem="b")
    write(tmp_path / "data", ".jsonl", ".gz", rows=ROWS[:1], stem="a")
    (tmp_path / "data" / "README.md").write_text("not data")
    source = Source("s", columns=PAIRS, path=str(tmp_path / "data"))
    assert contents(source.open(tmp_path / "cache")) == EXPECTED


@pytest.mark.parametrize("with_splits", [False, True])
def test_a_folder_that_datasets_saved_is_read(tmp_path, with_splits):
    from datasets import Dataset, DatasetDict

    rows = Dataset.from_list(ROWS)
    saved = DatasetDict({"train": rows, "dev": rows.select([2])}) if with_splits else rows
    saved.save_to_disk(tmp_path / "saved")
    source = Source("s", columns=PAIRS, path=str(tmp_path / "saved"))
    assert contents(source.open(tmp_path / "cache")) == EXPECTED
    if with_splits:
        dev = Source("s", columns=PAIRS, path=str(tmp_path / "saved"), split="dev")
        assert contents(dev.open(tmp_path / "cache")) == EXPECTED[2:]
        with pytest.raises(DataError, match="no split tran.*Did you mean train"):
            Source("s", columns=PAIRS, path=str(tmp_path / "saved"), split="tran").open(tmp_path)


@pytest.mark.parametrize("kind", [".jsonl", ".parquet", ".csv"])
def test_tuples_keep_as_many_documents_and_scores(tmp_path, kind):
    rows = [{"q": f"q{i}", "d": ["a", "b", "c"], "s": [i + 0.5, 1.0, -2.0]} for i in range(3)]
    if kind == ".csv":
        rows = [{key: json.dumps(value) for key, value in row.items()} for row in rows]
    path = write(tmp_path / "data", kind, rows=rows)
    columns = Columns(query="q", documents="d", scores="s")
    table = Source("s", columns=columns, path=str(path)).open(tmp_path / "cache")
    got = table.read(np.array([2]))
    assert table.kind == "tuples"
    assert got.documents == [["a", "b", "c"]]
    assert got.scores == [[2.5, 1.0, -2.0]]


@pytest.mark.parametrize("limit", [1, 2, 3, 99])
def test_a_limit_takes_the_first_rows(tmp_path, limit):
    path = write(tmp_path / "data")
    source = Source("s", columns=PAIRS, path=str(path), limit=limit)
    assert contents(source.open(tmp_path / "cache")) == EXPECTED[:limit]


def test_a_fingerprint_follows_the_content_and_not_the_path(tmp_path):
    one = write(tmp_path / "one")
    two = write(tmp_path / "two", stem="other")
    three = write(tmp_path / "three", rows=ROWS[::-1])
    prints = [Source("s", columns=PAIRS, path=str(p)).fingerprint() for p in (one, two, three)]
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize("whole", [False, True])
def test_rows_of_an_artifact_that_were_changed_are_refused_though_cached(tmp_path, whole):
    made = Store(tmp_path / "store").make("scores", "a" * 64, write, {})
    path = str(made.path if whole else made.path / "rows.jsonl")
    assert contents(Source("s", PAIRS, path=path).open(tmp_path / "cache")) == EXPECTED
    write(made.path, rows=ROWS[::-1])
    with pytest.raises(ArtifactError) as caught:
        Source("s", PAIRS, path=path).open(tmp_path / "cache")
    assert str(caught.value) == (
        f"{made.path}/rows.jsonl: was changed: manifest.json beside it names another sha256. "
        "Delete its folder and make it again with the same command"
    )
    with pytest.raises(ArtifactError, match="make it again: trivet mine x$"):
        Source("s", PAIRS, path=[f"{made.path}/rows.jsonl"], made_by="trivet mine x").fingerprint()


@pytest.mark.parametrize(
    "manifest",
    [
        "not JSON",
        "[]",
        '{"files": {"rows.jsonl": "0"}}',
        '{"key": "k", "stage": "s", "files": ["rows.jsonl"]}',
        '{"key": "k", "stage": "s", "files": {"other.jsonl": "0"}}',
    ],
)
def test_a_manifest_that_says_nothing_of_a_file_is_none_of_its_business(tmp_path, manifest):
    path = write(tmp_path / "data")
    (tmp_path / "data" / "manifest.json").write_text(manifest)
    assert contents(Source("s", PAIRS, path=str(path)).open(tmp_path / "cache")) == EXPECTED


def test_the_same_rows_are_converted_once_and_other_columns_again(tmp_path):
    one, two = write(tmp_path / "one"), write(tmp_path / "two")
    cache = tmp_path / "cache"
    Source("s", columns=PAIRS, path=str(one)).open(cache)
    Source("other name", columns=PAIRS, path=str(two)).open(cache)
    assert len(list(cache.rglob("index.json"))) == 1
    swapped = Columns(query="p", positive="q")
    table = Source("s", columns=swapped, path=str(one)).open(cache)
    assert contents(table)[2] == ("3", ["third"])


def test_a_list_of_files_is_read_in_the_order_of_the_list(tmp_path):
    files = [str(write(tmp_path / str(i), rows=[row])) for i, row in enumerate(ROWS)]
    forth = Source("s", columns=PAIRS, path=files)
    back = Source("s", columns=PAIRS, path=files[::-1])
    assert contents(forth.open(tmp_path / "cache")) == EXPECTED
    rows = [(query, documents) for query, documents in contents(back.open(tmp_path / "cache"))]
    assert rows == EXPECTED[::-1]
    assert forth.fingerprint() != back.fingerprint()
    with pytest.raises(DataError, match="gone.jsonl: no such file"):
        Source("s", columns=PAIRS, path=[*files, str(tmp_path / "gone.jsonl")]).open(tmp_path)


@pytest.mark.parametrize("part", ["dataset_info.json", "state.json"])
@pytest.mark.parametrize("with_splits", [False, True])
def test_a_saved_dataset_that_lacks_a_part_is_named(tmp_path, with_splits, part):
    import datasets

    rows = datasets.Dataset.from_list(ROWS)
    saved = datasets.DatasetDict({"train": rows}) if with_splits else rows
    saved.save_to_disk(tmp_path / "saved")
    next((tmp_path / "saved").rglob(part)).write_text("{}" if part == "state.json" else "[")
    source = Source("s", columns=PAIRS, path=str(tmp_path / "saved"))
    with pytest.raises(DataError, match="saved: .*not a dataset that was saved whole") as caught:
        source.open(tmp_path / "cache")
    assert "\n" not in str(caught.value) and left(tmp_path / "cache") == []


FAULTS = {
    "missing column": (b'{"q": "x", "pp": "y"}\n', r"rows.jsonl:1.*no column p.*Did you mean pp"),
    "empty text": (b'{"q": "x", "p": "y"}\n{"q": "  ", "p": "y"}\n', "rows.jsonl:2.*q is empty"),
    "half a sign": (b'{"q": "x", "p": "\\ud83d"}\n', "rows.jsonl:1.*not Unicode"),
    "no rows": (b"", "s: holds no rows"),
    "broken line": (b'{"q": "x", "p": "y"}\n\n{"q": "x", "p"\n', "rows.jsonl:3.*not JSON"),
    "not an object": (b'["x", "y"]\n', "rows.jsonl:1.*not a JSON object"),
    "wrong encoding": (b'{"q": "x", "p": "y"}\n{"q": "\xe9", "p": "y"}\n', "rows.jsonl.*UTF-8"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_at_the_door_and_nothing_stays_in_the_cache(tmp_path, fault):
    data, words = FAULTS[fault]
    path, cache = tmp_path / "rows.jsonl", tmp_path / "cache"
    path.write_bytes(data)
    with pytest.raises(DataError, match=words) as caught:
        Source("s", columns=PAIRS, path=str(path)).open(cache)
    assert "\n" not in str(caught.value)
    assert left(cache) == []
    write_jsonl(path, ROWS)  # mended, it is read
    assert contents(Source("s", columns=PAIRS, path=str(path)).open(cache)) == EXPECTED


@pytest.mark.parametrize("name", ["rows.jsonl.gz", "rows.jsonl.zst", "rows.parquet"])
def test_a_file_cut_short_is_named_and_leaves_nothing(tmp_path, name):
    kind, _, packed = name.removeprefix("rows").rpartition(".")
    many = [{"q": f"q{i * i * 7919}", "p": f"p{i * i * 104729}"} for i in range(2000)]
    path = (
        write(tmp_path, "." + packed, rows=many)
        if not kind
        else write(tmp_path, kind, "." + packed, rows=many)
    )
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=name):
        Source("s", columns=PAIRS, path=str(path)).open(tmp_path / "cache")
    assert left(tmp_path / "cache") == []


def beir(folder):
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": f"d{i}", "title": "T" * (i % 2), "text": f"text {i}"} for i in range(3)]
    write_jsonl(folder / "corpus.jsonl", corpus)
    write_jsonl(folder / "queries.jsonl", [{"_id": f"q{i}", "text": f"query {i}"} for i in (0, 1)])
    qrels = [("query-id", "corpus-id", "score"), ("q0", "d1", "1"), ("q0", "d2", "0")]
    lines = ["\t".join(row) for row in [*qrels, ("q1", "d2", "2")]]
    (folder / "qrels" / "train.tsv").write_text("\n".join(lines) + "\n")
    return folder


def test_a_beir_folder_makes_a_pair_of_each_relevant_document(tmp_path):
    table = Source("s", beir=str(beir(tmp_path / "b"))).open(tmp_path / "cache")
    assert contents(table) == [("query 0", ["T text 1"]), ("query 1", ["text 2"])]


@pytest.mark.parametrize(
    ("file", "line", "words"),
    [
        ("qrels/train.tsv", "q9\td1\t1", "train.tsv:5.*query q9"),
        ("qrels/train.tsv", "q1\td9\t1", "train.tsv:5.*document d9"),
        ("qrels/train.tsv", "q1\td2\t1", "train.tsv:5.*twice"),
        ("qrels/train.tsv", "q1\td1\thigh", "train.tsv:5.*not an integer"),
        ("corpus.jsonl", '{"_id": "d0", "text": "again"}', "corpus.jsonl:4.*d0 stands twice"),
        ("queries.jsonl", '{"_id": "q1", "text": "again"}', "queries.jsonl:3.*q1 stands twice"),
        ("queries.jsonl", '{"_id": "q5", "text": " "}', "queries.jsonl:3.*text is empty"),
    ],
)
def test_a_fault_in_a_beir_folder_is_named_and_leaves_nothing(tmp_path, file, line, words):
    folder = beir(tmp_path / "b")
    with (folder / file).open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(DataError, match=words):
        Source("s", beir=str(folder)).open(tmp_path / "cache")
    assert left(tmp_path / "cache") == []


def test_an_unknown_split_names_the_near_one(tmp_path):
    with pytest.raises(DataError, match="no split trian.*Did you mean train"):
        Source("s", beir=str(beir(tmp_path / "b")), split="trian").open(tmp_path / "cache")


@pytest.mark.parametrize("name", ["rows.txt", "gone.jsonl"])
def test_a_path_that_cannot_be_read_is_named(tmp_path, name):
    (tmp_path / "rows.txt").write_text("words")
    with pytest.raises(DataError, match=name):
        Source("s", columns=PAIRS, path=str(tmp_path / name)).open(tmp_path / "cache")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "exactly one"),
        ({"path": "a", "hub": "b"}, "exactly one"),
        ({"path": "a", "columns": Columns()}, "no columns"),
        ({"path": "a", "prompts": {"querry": "x"}}, "no such side"),
        ({"path": "a", "limit": 0}, "at least 1"),
        ({"path": []}, "no file"),
        ({"beir": "a"}, "columns of their own"),
        ({"path": "a", "subset": "b"}, "subset and revision"),
        ({"beir": "a", "columns": Columns(), "revision": "b"}, "subset and revision"),
    ],
)
def test_a_source_that_cannot_be_read_is_refused_before_it_is(fields, words):
    with pytest.raises(ConfigError, match=words):
        Source("s", **({"columns": PAIRS} | fields))


def test_a_table_survives_the_loss_of_its_files(tmp_path):
    source = Source("s", columns=PAIRS, path=str(write(tmp_path / "data")))
    source.open(tmp_path / "cache")
    shutil.rmtree(tmp_path / "data")
    assert contents(source.open(tmp_path / "cache")) == EXPECTED
