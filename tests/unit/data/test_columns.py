import pytest

from trivet.core.errors import ConfigError, DataError
from trivet.data.columns import Columns

PAIRS = Columns(query="q", positive="p")
TUPLES = Columns(query="q", documents="d", scores="s")


@pytest.mark.parametrize(
    "columns",
    [
        {"query": "q"},
        {"positive": "p"},
        {"query": "q", "documents": "d"},
        {"query": "q", "positive": "p", "text": "t"},
        {"query": "q", "positive": "p", "documents": "d", "scores": "s"},
        {"text": "t", "negatives": ["n"]},
        {"query": "q", "documents": "d", "scores": "s", "negatives": ["n"]},
    ],
)
def test_columns_that_make_no_row_are_refused(columns):
    with pytest.raises(ConfigError, match="do not make a row|need a positive"):
        Columns(**columns)


def test_the_kind_follows_from_the_columns():
    assert [PAIRS.kind, TUPLES.kind, Columns(text="t").kind] == ["pairs", "tuples", "texts"]
    assert Columns().kind is None


def test_the_positive_stands_before_its_negatives():
    columns = Columns(query="q", positive="p", negatives=["n1", "n2"])
    record = columns.record({"n2": "c", "n1": "b", "p": "a", "q": "?"}, "f:1")
    assert (record.query, record.documents, record.scores) == ("?", ["a", "b", "c"], [])


def test_a_list_of_negatives_is_as_good_as_columns_of_them():
    spread = Columns(query="q", positive="p", negatives=["n1", "n2"])
    listed = Columns(query="q", positive="p", negatives=["n"])
    one = spread.record({"q": "?", "p": "a", "n1": "b", "n2": "c"}, "f:1")
    other = listed.record({"q": "?", "p": "a", "n": ["b", "c"]}, "f:1")
    assert one == other


def test_a_list_stored_as_json_text_is_a_list():
    plain = TUPLES.record({"q": "?", "d": ["a", "b"], "s": [2, 0.5]}, "f:1")
    packed = TUPLES.record({"q": "?", "d": '["a", "b"]', "s": "[2, 0.5]"}, "f:1")
    assert plain == packed
    assert plain.scores == [2.0, 0.5]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"querry": "x", "q2": "y"}, "no column q"),
        ({"q": "  ", "p": "a"}, "column q is empty"),
        ({"q": "x", "p": ""}, "column p is empty"),
        ({"q": "x", "p": None}, "column p holds NoneType"),
        ({"q": 3, "p": "a"}, "column q holds int"),
    ],
)
def test_what_a_pair_lacks_is_named_with_its_place(row, words):
    with pytest.raises(DataError, match=words) as caught:
        PAIRS.record(row, "file.jsonl:7")
    assert "file.jsonl:7" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_column_names_the_nearest_one():
    columns = Columns(query="question", positive="answer")
    with pytest.raises(DataError, match="Did you mean question"):
        columns.record({"questoin": "x", "question ": "x", "answer": "y"}, "f:1")


@pytest.mark.parametrize(
    ("documents", "scores", "words"),
    [
        (["a", "b"], [1.0], "2 documents, 1 scores"),
        ([], [], "empty"),
        (["a", " "], [1.0, 2.0], "empty"),
        (["a", None], [1.0, 2.0], "text"),
        (["a", 5], [1.0, 2.0], "text"),
        (["a"], [float("nan")], "not a finite"),
        (["a"], [float("inf")], "not a finite"),
        (["a"], [1e39], "too large"),
        (["a"], [-1e19], "too large"),
        (["a"], [True], "bool"),
        (["a"], ["high"], "a score is 'high', not a number"),
        (["a"], [None], "a score is None, not a number"),
        ("a", [1.0], "not a list"),
        (7, [1.0], "expected a list"),
    ],
)
def test_a_tuple_that_cannot_be_trusted_is_refused(documents, scores, words):
    with pytest.raises(DataError, match=words) as caught:
        TUPLES.record({"q": "?", "d": documents, "s": scores}, "f:3")
    assert "f:3" in str(caught.value)


def test_an_empty_negative_in_a_list_is_refused():
    columns = Columns(query="q", positive="p", negatives=["n"])
    with pytest.raises(DataError, match="f:4.*empty"):
        columns.record({"q": "?", "p": "a", "n": ["b", ""]}, "f:4")


def test_texts_need_only_their_own_column():
    record = Columns(text="t").record({"t": "words", "other": None}, "f:1")
    assert (record.query, record.documents, record.scores) == ("", ["words"], [])


def test_of_a_list_of_positives_the_first_one_answers():
    record = PAIRS.record({"q": "?", "p": ["a", "b"]}, "f:1")
    assert record == PAIRS.record({"q": "?", "p": "a"}, "f:1")
    with pytest.raises(DataError, match="f:1.*column p is an empty list"):
        PAIRS.record({"q": "?", "p": []}, "f:1")
    with pytest.raises(DataError, match="f:1.*a document is int, not text"):
        PAIRS.record({"q": "?", "p": [3]}, "f:1")
