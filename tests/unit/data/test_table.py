import numpy as np
import pytest

from trivet.core.errors import DataError
from trivet.data.table import _LET_GO, _ROWS, Record, Table, parse_list, write_table


def records(count, width=1, scored=False):
    for i in range(count):
        documents = [f"document {i} {place}" for place in range(width)]
        scores = [float(i + place) for place in range(width)] if scored else []
        yield Record(f"query {i}", documents, scores)


def made(tmp_path, rows, kind="pairs"):
    write_table(tmp_path / "t", iter(rows), kind, "s")
    return Table.open(tmp_path / "t", "s", {"query": "Q: "}, False)


def test_any_row_comes_back_in_the_order_named(tmp_path):
    count = 2 * _ROWS + 5  # a last chunk that is not full
    table = made(tmp_path, records(count))
    asked = [0, count - 1, _ROWS, _ROWS - 1, 3, 3]
    got = table.read(np.array(asked))
    assert len(table) == count
    assert got.rows == asked
    assert got.queries == [f"query {i}" for i in asked]
    assert got.documents == [[f"document {i} 0"] for i in asked]
    assert got.scores is None
    assert got.prompts == {"query": "Q: "}


def test_tuples_keep_their_scores_and_their_width(tmp_path):
    got = made(tmp_path, records(4, 3, scored=True), "tuples").read(np.array([2]))
    assert got.documents == [["document 2 0", "document 2 1", "document 2 2"]]
    assert got.scores == [[2.0, 3.0, 4.0]]


def test_rows_stay_right_after_their_pages_were_let_go_of(tmp_path):
    table = made(tmp_path, records(50))
    asked = np.arange(_LET_GO + 100) % 50
    assert table.read(asked).queries == [f"query {i}" for i in asked]
    first = list(table.texts())
    assert table.read(asked[:50]).queries == [query for _, query, _ in first]


def test_texts_walk_every_row_once_across_chunks(tmp_path):
    table = made(tmp_path, records(_ROWS + 3))
    walked = list(table.texts())
    assert [position for position, _, _ in walked] == list(range(_ROWS + 3))
    assert walked[_ROWS] == (_ROWS, f"query {_ROWS}", [f"document {_ROWS} 0"])


def test_a_view_numbers_its_own_rows_and_names_the_source_s(tmp_path):
    view = made(tmp_path, records(10)).keep(np.array([1, 4, 7, 9])).keep(np.array([1, 3]))
    assert len(view) == 2
    assert view.read(np.array([0, 1])).rows == [4, 9]
    assert list(view.texts()) == [
        (0, "query 4", ["document 4 0"]),
        (1, "query 9", ["document 9 0"]),
    ]


def test_a_file_is_mapped_and_not_read_when_it_is_opened(tmp_path):
    made(tmp_path, records(20))
    table = Table.open(tmp_path / "t", "s", {}, False)
    data = (tmp_path / "t" / "rows.arrow").read_bytes().replace(b"query 7", b"QUERY 7")
    with (tmp_path / "t" / "rows.arrow").open("r+b") as stream:  # the same file, other bytes
        stream.write(data)
    assert table.read(np.array([7])).queries == ["QUERY 7"]


@pytest.mark.parametrize("late", [1, _ROWS + 1])  # within the first chunk, and in a later one
def test_rows_of_another_width_are_refused_and_leave_nothing(tmp_path, late):
    rows = [*records(late), Record("q", ["a", "b"], [], "rows.jsonl:9")]
    with pytest.raises(DataError, match=r"^rows.jsonl:9: 2 documents where the first row has 1"):
        write_table(tmp_path / "t", iter(rows), "pairs", "s")
    assert [path.name for path in tmp_path.iterdir()] == ["t.lock"]


def test_no_rows_are_an_error_and_leave_nothing(tmp_path):
    with pytest.raises(DataError, match="s: holds no rows"):
        write_table(tmp_path / "t", iter([]), "pairs", "s")
    assert [path.name for path in tmp_path.iterdir()] == ["t.lock"]


def test_a_finished_table_is_not_written_again(tmp_path):
    made(tmp_path, records(3))
    write_table(tmp_path / "t", records(5), "pairs", "s")
    assert len(Table.open(tmp_path / "t", "s", {}, False)) == 3


@pytest.mark.parametrize("value", ["[1,", "{}", 3, None, "word"])
def test_what_is_no_list_is_refused_with_its_place(value):
    with pytest.raises(DataError, match="f:9"):
        parse_list(value, str, "f:9")
