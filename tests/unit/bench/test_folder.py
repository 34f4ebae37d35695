import csv
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from trivet.bench.folder import Folder
from trivet.core.errors import DataError


def load(folder, **fields):
    return Folder(str(folder), **fields).load()


def test_only_judged_queries_are_kept_and_the_rest_is_read_as_it_stands(beir):
    task = load(beir())
    assert (task.name, task.split, task.drop_self) == ("animals", "test", False)
    assert task.corpus.ids == ["d1", "d2", "d3"]
    assert task.corpus.contents() == ["Fox a red fox", "a blue whale", "a green hill"]
    assert task.queries == {"q1": "fox", "q2": "whale"}
    assert task.qrels == {"q1": {"d1": 2, "d2": 0}, "q2": {"d2": 1}}


@pytest.mark.parametrize("kind", ["jsonl", "csv", "tsv", "parquet"])
@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
def test_every_kind_of_file_gives_the_same_task(beir, kind, packed):
    folder = beir()
    want = load(folder)
    for stem in ("corpus", "queries"):
        plain = folder / f"{stem}.jsonl"
        rows = [json.loads(line) for line in plain.read_text().splitlines()]
        plain.unlink()
        path = folder / f"{stem}.{kind}"
        columns = ["_id", "title", "text"] if stem == "corpus" else ["_id", "text"]
        rows = [{column: row.get(column, "") for column in columns} for row in rows]
        if kind == "parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
            continue
        if kind == "jsonl":
            path.write_text("\n".join(map(json.dumps, rows)))
        else:
            with path.open("w", newline="") as stream:
                writer = csv.DictWriter(stream, columns, delimiter="," if kind == "csv" else "\t")
                writer.writeheader()
                writer.writerows(rows)
        if packed:
            pack = gzip.compress if packed == ".gz" else zstandard.ZstdCompressor().compress
            path.with_name(path.name + packed).write_bytes(pack(path.read_bytes()))
            path.unlink()
    task = load(folder)
    assert (task.fingerprint, task.qrels) == (want.fingerprint, want.qrels)


@pytest.mark.parametrize(
    "qrels",
    [
        "q1\td1\t2\nq1\td2\t0\nq2\td2\t1",
        "q1\t0\td1\t2\nq1\t0\td2\t0\nq2\t0\td2\t1\n",
        "q1 0 d1 2\nq1 0 d2 0\nq2 Q0 d2 1\n",
        "query-id\tcorpus-id\tscore\r\nq1\td1\t2\r\nq1\td2\t0\r\n\r\nq2\td2\t1\r\n",
    ],
)
def test_qrels_are_read_with_a_header_without_one_and_with_trec_columns(beir, qrels):
    assert load(beir(qrels=qrels)).qrels == {"q1": {"d1": 2, "d2": 0}, "q2": {"d2": 1}}


@pytest.mark.parametrize(
    "parts, match",
    [
        ({"corpus": None}, "no corpus file"),
        ({"queries": None}, "no queries file"),
        ({"qrels": None}, "no split test"),
        ({"corpus": ""}, "the corpus is empty"),
        ({"qrels": ""}, "no query of test has a relevant document"),
        ({"qrels": "q1\td1\t0\n"}, "no query of test has a relevant document"),
        ({"qrels": "q1\td1\t1\nq7\td1\t1\n"}, r"test.tsv:2: query q7 is not in queries"),
        ({"qrels": "q1\td1\t1\nq2\td7\t1\n"}, r"test.tsv:2: document d7 is not in the corpus"),
        ({"qrels": "q1\td1\t1.5\n"}, r"test.tsv:1: score '1.5' is not an integer"),
        ({"qrels": "q1\td1\t1\nq2\td2\thigh\n"}, r"test.tsv:2: score 'high' is not an integer"),
        ({"qrels": "q1\td1\t1\nq1\td1\t2\n"}, r"test.tsv:2: query q1 judges d1 twice"),
        ({"qrels": "q1\td1\t1\nq2\n"}, r"test.tsv:2: 1 columns"),
        ({"corpus": [{"_id": "d1", "txt": "a"}]}, r"corpus.jsonl:1: no column text.*txt"),
        ({"corpus": [{"name": "d1", "text": "a"}]}, r"corpus.jsonl:1: no column _id"),
        ({"corpus": [{"_id": "d1", "text": "a"}] * 2}, r"corpus.jsonl:2: id d1 stands twice"),
        ({"corpus": [{"_id": "d\t1", "text": "a"}]}, r"corpus.jsonl:1: .* is no id"),
        ({"corpus": [{"_id": "d1", "text": ["a"]}]}, r"corpus.jsonl:1: title and text must be"),
        ({"corpus": '{"_id": "d1", "text": "a"}\n{"_id": '}, r"corpus.jsonl:2: not JSON"),
        ({"queries": [{"_id": "q1", "text": " "}]}, r"queries.jsonl:1: column text is empty"),
        ({"queries": [{"_id": "q1", "text": "a"}] * 2}, r"queries.jsonl:2: id q1 stands twice"),
    ],
)
def test_what_cannot_be_trusted_is_named_with_its_place(beir, parts, match):
    with pytest.raises(DataError, match=match):
        load(beir(**parts))


def test_a_folder_that_is_not_there_and_a_split_that_is_not_there_are_named(beir, tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no split tset.*test"):
        load(beir(), split="tset")


def test_an_empty_document_is_counted_and_kept(beir, caplog):
    corpus = [{"_id": f"d{i}", "text": text} for i, text in enumerate(["fox", "", " ", "hill"])]
    task = load(beir(corpus=corpus, qrels="q1\td0\t1\n"))
    assert len(task.corpus) == 4
    assert "2 documents have neither title nor text" in caplog.text


def test_a_query_without_a_relevant_document_is_left_out_and_said_so(beir, caplog):
    task = load(beir(qrels="q1\td1\t1\nq2\td2\t0\n"))
    assert list(task.queries) == ["q1"]
    assert "1 queries without a relevant document" in caplog.text


def test_the_fingerprint_changes_with_whatever_is_measured_and_with_nothing_else(beir):
    corpus = [{"_id": "d1", "title": "Fox", "text": "red"}, {"_id": "d2", "text": "blue whale"}]
    queries = [{"_id": "q1", "text": "fox"}, {"_id": "q9", "text": "not judged"}]
    sound = {"corpus": corpus, "queries": queries, "qrels": "q1\td1\t1\n"}

    def prints(**parts):
        return load(beir(**{**sound, **parts}, name=f"n{len(parts)}")).fingerprint

    want = prints()
    same = [
        {"queries": queries[:1]},
        {"qrels": "q1\t0\td1\t1\n"},
    ]
    other = [
        {"corpus": [{**corpus[0], "title": ""}, corpus[1]]},
        {"corpus": [{"_id": "d1", "title": "Fo", "text": "xred"}, corpus[1]]},
        {"corpus": corpus[:1]},
        {"corpus": corpus[::-1]},
        {"queries": [{"_id": "q1", "text": "foxes"}]},
        {"qrels": "q1\td1\t2\n"},
        {"qrels": "q1\td1\t1\nq1\td2\t0\n"},
    ]
    assert {prints(**parts) for parts in same} == {want}
    found = [prints(**parts) for parts in other]
    assert len({want, *found}) == len(found) + 1


def test_the_content_key_changes_with_the_files(beir):
    folder = beir()
    before = Folder(str(folder)).fingerprint()
    assert Folder(str(folder)).fingerprint() == before
    (folder / "qrels" / "test.tsv").write_text("q1\td1\t1\n")
    assert Folder(str(folder)).fingerprint() != before


def test_a_name_of_its_own_goes_before_the_folders(beir):
    assert load(beir(), name="zoo", drop_self=True).name == "zoo"
