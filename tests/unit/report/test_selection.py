import pytest

from trivet.core.errors import ConfigError, NotComparable, TrivetError
from trivet.report.selection import FIELDS, aligned, check_comparable, choose, read_scores

DENSE = {"lengths": {"query": 8, "document": 64}, "prompts": {"query": "q: "}}
OTHER = {
    "data": {"data": "e" * 64},
    "split": {"split": "dev"},
    "k": {"k": 20},
    "drop_self": {"drop_self": True},
    "lengths": {"lengths": {"query": 8, "document": 128}},
    "prompts": {"prompts": {"query": ""}},
}


@pytest.mark.parametrize("field", FIELDS)
def test_rows_that_differ_in_one_field_are_refused_unless_it_is_allowed(add, field):
    rows = [add("a", [0.1], **DENSE), add("b", [0.1], **{**DENSE, **OTHER[field]})]
    with pytest.raises(NotComparable) as caught:
        check_comparable(rows)
    line = str(caught.value)
    assert f"{field}: " in line and all(row["id"][:8] in line for row in rows)
    assert f"--across {field}" in line and "\n" not in line
    assert check_comparable(rows, [field]) == [field]
    others = [name for name in FIELDS if name != field]
    with pytest.raises(NotComparable):
        check_comparable(rows, others)


def test_a_lexical_row_needs_no_lengths_or_prompts_but_two_dense_ones_beside_it_do(add):
    rows = [add("bm25", [0.1]), add("a", [0.1], **DENSE)]
    assert check_comparable(rows) == check_comparable(rows[::-1]) == []
    rows.append(add("b", [0.1], **{**DENSE, **OTHER["lengths"]}))
    with pytest.raises(NotComparable, match="lengths"):
        check_comparable(rows)


def test_a_field_that_is_none_is_told(add):
    with pytest.raises(ConfigError, match="no field length. Did you mean lengths"):
        check_comparable([add("a", [0.1])], ["length"])


def test_other_queries_are_refused(ledger, add):
    rows = [add("a", [0.1, 0.2]), add("b", [0.1, 0.2], queries=["q0", "q7"])]
    scores = [read_scores(ledger.path, row, "ndcg@10") for row in rows]
    with pytest.raises(NotComparable, match="queries: 2 in a .*, 2 in b .*q1 in one only"):
        aligned(scores, rows)


def test_a_word_is_a_label_or_the_beginning_of_one_id(ledger, add):
    rows = [add("a", [0.1], task=task) for task in ("one", "two")] + [add("b", [0.2])]
    by_label, by_id = choose(list(ledger.read()), ["a", rows[2]["id"][:10]], None)
    assert [row["id"] for row in by_label.rows] == [row["id"] for row in rows[:2]]
    assert (by_id.name, by_id.rows) == ("b", [rows[2]])


def test_rows_of_one_label_named_by_their_ids_have_names_apart(ledger, add):
    ids = [add("a", [0.1])["id"], add("a", [0.3])["id"]]
    names = [choice.name for choice in choose(list(ledger.read()), ids, None)]
    assert names == [f"a ({identifier[:8]})" for identifier in ids]


@pytest.mark.parametrize(
    "words, bench, match",
    [
        (["BM25", "BM52"], None, "no row BM52. Did you mean BM25?"),
        (["BM25", ""], None, "no row"),
        (["BM25"], None, "one row alone"),
        (["BM25", "BM25"], None, "BM25 and BM25 name the same row"),
        (["both", "BM25"], None, "both was measured on animals, plants. Say which"),
        (["BM25", "both"], "animal", "no row of bench animal. Did you mean animals"),
        (["both", "nosuch"], "plants", "no row nosuch"),
    ],
)
def test_a_word_that_names_no_row_or_too_many_is_told(ledger, add, words, bench, match):
    add("BM25", [0.1])
    for name in ("animals", "plants"):
        add("both", [0.1], bench=name)
    with pytest.raises(TrivetError, match=match):
        choose(list(ledger.read()), words, bench)


def test_a_row_of_another_bench_is_not_comparable_and_the_field_is_named(ledger, add):
    add("here", [0.1])
    add("there", [0.1], bench="plants")
    with pytest.raises(NotComparable, match="there: bench: plants, not animals"):
        choose(list(ledger.read()), ["here", "there"], None)


def test_an_id_cut_too_short_names_the_rows_it_may_be(ledger, add):
    rows = [add(f"label {i}", [0.1]) for i in range(17)]  # two ids begin with the same digit
    starts = [row["id"][0] for row in rows]
    start = next(digit for digit in starts if starts.count(digit) > 1)
    with pytest.raises(TrivetError, match=f"{start} begins the ids of .* rows. It may be"):
        choose(rows, [start, rows[0]["id"]], None)


def test_scores_that_are_gone_or_of_another_metric_are_told_in_one_line(ledger, add):
    row = add("a", [0.1])
    for metric in ("ndcg@1", "relevant", "queries"):
        with pytest.raises(TrivetError, match=f"{metric} was not measured"):
            read_scores(ledger.path, row, metric)
    (ledger.path.parent / row["per_query"]).unlink()
    with pytest.raises(TrivetError, match="no scores of a .*measure a again"):
        read_scores(ledger.path, row, "ndcg@10")
