import json
import tracemalloc

import numpy as np
import pytest

from trivet.core.errors import ConfigError, DataError
from trivet.core.schema import content
from trivet.data import join
from trivet.data.columns import Columns
from trivet.data.decontaminate import Protected, decontaminate
from trivet.data.mixture import Mixture
from trivet.data.sources import Source

TUPLES = Columns(query="query_id", documents="document_ids", scores="scores")
QUERIES = [{"query_id": f"q{i}", "text": f"question {i}"} for i in range(4)]
DOCUMENTS = [{"document_id": i, "text": f"passage {i}"} for i in range(9)]
ROWS = [
    {"query_id": "q2", "document_ids": [8, 0, 3], "scores": [0.5, 0.25, 0.0]},
    {"query_id": "q0", "document_ids": [3, 4, 8], "scores": [1.0, 2.0, 3.0]},
]
JOINED = [
    ("question 2", ["passage 8", "passage 0", "passage 3"], [0.5, 0.25, 0.0]),
    ("question 0", ["passage 3", "passage 4", "passage 8"], [1.0, 2.0, 3.0]),
]


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def source(folder, rows=ROWS, queries=QUERIES, documents=DOCUMENTS, columns=TUPLES, **fields):
    by_query = Columns(id="query_id", text="text")
    by_document = Columns(id="document_id", text="text")
    return Source(
        "scored",
        columns,
        path=write(folder / "rows.jsonl", rows),
        query_texts=Source("queries", by_query, path=write(folder / "q.jsonl", queries)),
        document_texts=Source("passages", by_document, path=write(folder / "d.jsonl", documents)),
        **fields,
    )


def contents(table):
    got = table.read(np.arange(len(table)))
    return list(zip(got.queries, got.documents, got.scores, strict=True))


def test_ids_become_the_texts_that_they_name(tmp_path):
    table = source(tmp_path).open(tmp_path / "cache")
    assert table.kind == "tuples" and contents(table) == JOINED


def test_a_random_join_is_that_of_a_dictionary(tmp_path):
    draw = np.random.default_rng(0)
    documents = [{"document_id": f"d{i}", "text": f"t{i * i}"} for i in draw.permutation(3000)]
    texts = {row["document_id"]: row["text"] for row in documents}
    rows = [
        {
            "query_id": f"q{i % 4}",
            "document_ids": [f"d{j}" for j in draw.choice(3000, 8, replace=False)],
            "scores": draw.random(8).tolist(),
        }
        for i in range(200)
    ]
    table = source(tmp_path, rows, documents=documents).open(tmp_path / "cache")
    found = [documents for _, documents, _ in contents(table)]
    assert found == [[texts[one] for one in row["document_ids"]] for row in rows]


@pytest.mark.parametrize(
    "ids", ["[8, 0, 3]", '["8", "0", "3"]', "['8', '0', '3']", ["8", "0", "3"]]
)
def test_ids_and_scores_may_be_numbers_or_texts_also_in_lists_stored_as_text(tmp_path, ids):
    rows = [{"query_id": "q2", "document_ids": ids, "scores": "[0.5, 0.25, 0]"}]
    assert contents(source(tmp_path, rows).open(tmp_path / "cache")) == JOINED[:1]


def test_pairs_and_one_side_alone_can_be_joined(tmp_path):
    rows = [{"q": "words", "p": 3, "n": [1, 2], "m": 5}]
    columns = Columns(query="q", positive="p", negatives=["n", "m"])
    pairs = Source(
        "pairs",
        columns,
        path=write(tmp_path / "rows.jsonl", rows),
        document_texts=source(tmp_path / "t").document_texts,
    )
    got = pairs.open(tmp_path / "cache").read(np.array([0]))
    assert got.queries == ["words"]
    assert got.documents == [["passage 3", "passage 1", "passage 2", "passage 5"]]


def test_ids_of_one_hash_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(join, "_hash", lambda one: 7)
    assert contents(source(tmp_path).open(tmp_path / "cache")) == JOINED
    rows = [ROWS[0] | {"document_ids": [8, 0, 77]}]
    with pytest.raises(DataError, match="no text of id 77 in passages"):
        source(tmp_path / "2", rows).open(tmp_path / "cache")


FAULTS = {
    "unknown document": ({"document_ids": [8, 0, 99]}, "no text of id 99 in passages"),
    "unknown query": ({"query_id": "q9"}, "no text of id q9 in queries"),
    "first of all": ({"document_ids": [8, 0, "a"]}, "no text of id a in passages"),
    "unequal": ({"scores": [0.5, 0.25]}, "3 documents, 2 scores"),
    "not a number": ({"scores": [0.5, float("nan"), 0.0]}, "a score is not a finite number"),
    "no scores": ({"scores": None}, "expected a list, not NoneType"),
    "no id": ({"document_ids": [8, 0, None]}, "an id is NoneType"),
    "half an id": ({"document_ids": [8, 0, 3.5]}, "an id is float"),
    "no query": ({"query_id": True}, "an id is bool"),
    "empty": ({"query_id": " "}, "an id is empty"),
    "no list": ({"document_ids": "8, 0"}, "expected a list, not tuple"),
    "no ids": ({"document_ids": "eight"}, "not a list"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_that_names_the_row_and_leaves_no_rows(tmp_path, fault):
    change, words = FAULTS[fault]
    with pytest.raises(DataError, match=words) as caught:
        source(tmp_path, [ROWS[1], ROWS[0] | change]).open(tmp_path / "cache")
    assert "rows.jsonl:2" in str(caught.value) and "\n" not in str(caught.value)
    left = [path for path in (tmp_path / "cache" / "data").rglob("*") if path.suffix != ".lock"]
    assert left == []


def test_rows_without_their_scores_are_refused(tmp_path):
    row = {name: value for name, value in ROWS[0].items() if name != "scores"}
    with pytest.raises(DataError, match=r"rows.jsonl:1: no column scores"):
        source(tmp_path, [row]).open(tmp_path / "cache")


@pytest.mark.parametrize(
    ("documents", "words"),
    [
        ([*DOCUMENTS, DOCUMENTS[4]], "passages: id 4 stands twice"),
        ([{"document_id": 1, "text": " "}], r"d.jsonl:1: column text is empty"),
        ([{"document": 1, "text": "x"}], r"d.jsonl:1: no column document_id"),
    ],
)
def test_a_table_of_texts_that_cannot_be_trusted_is_refused(tmp_path, documents, words):
    with pytest.raises(DataError, match=words):
        source(tmp_path, documents=documents).open(tmp_path / "cache")


@pytest.mark.parametrize("part", ["q.jsonl", "d.jsonl", "rows.jsonl"])
def test_a_fingerprint_follows_the_texts_as_well(tmp_path, part):
    one, same, other = (source(tmp_path / name) for name in ("one", "same", "other"))
    path = tmp_path / "other" / part
    path.write_text(path.read_text().replace("2", "7"))
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()
    assert content(one) == content(same) != content(other)


def test_texts_are_read_once_for_all_that_name_them(tmp_path):
    cache = tmp_path / "cache"
    source(tmp_path).open(cache)
    again = source(tmp_path, ROWS[:1])
    times = {path: path.stat().st_mtime_ns for path in (cache / "texts").rglob("*.npy")}
    assert contents(again.open(cache)) == JOINED[:1]
    assert len(times) == 4 and all(path.stat().st_mtime_ns == at for path, at in times.items())


def test_memory_does_not_grow_with_the_texts(tmp_path):
    # 4,000 texts of 20,000 characters: 80 MB
    documents = ({"document_id": i, "text": f"{i} " + "word " * 4000} for i in range(4000))
    texts = Source(
        "passages",
        Columns(id="document_id", text="text"),
        path=write(tmp_path / "d.jsonl", documents),
    )
    found = join.TextsById.open(texts.open(tmp_path / "cache"), tmp_path / "cache")
    tracemalloc.start()
    for i in range(3999, -1, -1):
        assert found.texts([str(i)], "here")[0].startswith(f"{i} ")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_decontamination_sees_the_texts_and_not_the_ids(tmp_path):
    table = source(tmp_path).open(tmp_path / "cache")
    protected = Protected.of(
        "task", queries=["question 2"], relevant=[], corpus=[], query_ngram=8, document_ngram=13
    )
    clean, overlap = decontaminate(table, protected)
    assert contents(clean) == JOINED[1:] and (overlap.rows, overlap.query_exact) == (2, 1)


BY_ID = Columns(id="i", text="t")
PLAIN = Source("p", Columns(text="t"), path="x")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"columns": TUPLES, "query_texts": PLAIN}, "query_texts.columns: has no ids"),
        ({"columns": Columns(text="t"), "document_texts": PLAIN}, "name no ids"),
        ({"columns": BY_ID, "sentences": True}, "texts by id are whole"),
        ({"columns": BY_ID, "side": "query"}, "texts by id are whole"),
    ],
)
def test_what_cannot_be_joined_is_refused_before_it_is_read(fields, words):
    with pytest.raises(ConfigError, match=words):
        Source("s", path="x", **fields)
    with pytest.raises(ConfigError, match="an id needs a text"):
        Columns(query="q", positive="p", id="i")
    with pytest.raises(ConfigError, match="s: holds texts by id, not rows"):
        Mixture([Source("s", BY_ID, path="x")])
