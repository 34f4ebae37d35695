import json

import pytest

from trivet.core.beir import corpus_rows, qrels_rows, query_rows
from trivet.core.errors import DataError

CORPUS = [{"_id": "d1", "title": "T", "text": "one"}, {"_id": "d2", "text": ""}]
QUERIES = [{"_id": "q1", "text": "who"}, {"_id": "q2", "text": "what"}]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t0\n"


def lines(items):
    return "".join(json.dumps(item) + "\n" for item in items)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text(lines(CORPUS))
    (tmp_path / "queries.jsonl").write_text(lines(QUERIES))
    (tmp_path / "qrels" / "test.tsv").write_text(QRELS)
    return tmp_path


def judged(folder, text, name="test.tsv"):
    (folder / "qrels" / "test.tsv").unlink()
    (folder / "qrels" / name).write_text(text)
    return [row[1:] for row in qrels_rows(folder, "test")]


def test_a_folder_is_read_as_it_was_written_each_row_with_its_place(folder):
    corpus, queries = folder / "corpus.jsonl", folder / "queries.jsonl"
    assert list(corpus_rows(folder)) == [
        (f"{corpus}:1", "d1", "T", "one"),
        (f"{corpus}:2", "d2", "", ""),
    ]
    assert list(query_rows(folder)) == [
        (f"{queries}:1", "q1", "who"),
        (f"{queries}:2", "q2", "what"),
    ]
    path = folder / "qrels" / "test.tsv"
    assert list(qrels_rows(folder, "test")) == [
        (f"{path}:2", "q1", "d1", 1),
        (f"{path}:3", "q2", "d2", 0),
    ]


@pytest.mark.parametrize(
    "text, name",
    [
        (QRELS, "test.tsv"),
        ("q1\td1\t1\nq2\td2\t0\n", "test.tsv"),
        ("q1 0 d1 1\nq2 0 d2 0\n", "test.tsv"),
        (QRELS.replace("\t", ","), "test.csv"),
        (
            lines(
                {"query-id": q, "corpus-id": d, "score": s}
                for q, d, s in (("q1", "d1", 1), ("q2", "d2", 0))
            ),
            "test.jsonl",
        ),
    ],
    ids=["header", "bare", "trec", "csv", "jsonl"],
)
def test_judgements_in_every_layout_are_the_same(folder, text, name):
    assert judged(folder, text, name) == [("q1", "d1", 1), ("q2", "d2", 0)]


@pytest.mark.parametrize("row", ["q1\td1", "q1\td1\t0.5", "q1\td1\tx", "a\tb\tc\td\t1"])
def test_a_judgement_that_is_none_is_named_by_its_line(folder, row):
    with pytest.raises(DataError) as caught:
        judged(folder, f"query-id\tcorpus-id\tscore\nq2\td2\t1\n{row}\n")
    assert caught.value.where == f"{folder / 'qrels' / 'test.tsv'}:3"


def test_a_pair_judged_twice_is_named_by_its_second_line(folder):
    with pytest.raises(DataError, match="twice") as caught:
        judged(folder, "q1\td1\t1\nq2\td1\t1\nq1\td1\t0\n")
    assert caught.value.where.endswith("test.tsv:3")


@pytest.mark.parametrize(
    "row", [{"text": "x"}, {"_id": "", "text": "x"}, {"_id": "a\tb", "text": "x"}, {"_id": "z"}]
)
@pytest.mark.parametrize("stem, read", [("corpus", corpus_rows), ("queries", query_rows)])
def test_a_row_without_an_id_or_a_text_is_named(folder, stem, read, row):
    path = folder / f"{stem}.jsonl"
    path.write_text(lines([{"_id": "a", "text": "fine"}, row]))
    with pytest.raises(DataError) as caught:
        list(read(folder))
    assert caught.value.where == f"{path}:2"


@pytest.mark.parametrize("stem, read", [("corpus", corpus_rows), ("queries", query_rows)])
def test_an_id_that_stands_twice_is_named(folder, stem, read):
    path = folder / f"{stem}.jsonl"
    path.write_text(lines([{"_id": "1", "text": "x"}, {"_id": 1, "text": "y"}]))
    with pytest.raises(DataError, match="twice") as caught:
        list(read(folder))
    assert caught.value.where == f"{path}:2"


def test_an_empty_query_is_refused_where_an_empty_document_is_not(folder):
    (folder / "queries.jsonl").write_text(lines([{"_id": "q", "text": " "}]))
    with pytest.raises(DataError, match="empty"):
        list(query_rows(folder))


def test_a_missing_part_is_named_and_an_unknown_split_gets_the_nearest(folder):
    (folder / "corpus.jsonl").unlink()
    with pytest.raises(DataError, match="corpus"):
        list(corpus_rows(folder))
    with pytest.raises(DataError, match="no such folder"):
        list(corpus_rows(folder / "nowhere"))
    with pytest.raises(DataError, match="Did you mean test"):
        list(qrels_rows(folder, "tests"))
