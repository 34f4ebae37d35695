import pytest

from trivet.core.errors import TrivetError
from trivet.report.ledger_table import across_tasks, by_task, of_bench


def test_the_last_row_of_a_label_counts(ledger, add):
    add("a", [0.1])
    add("b", [0.5])
    add("a", [0.25])
    (table,) = by_task(list(ledger.read()), ["ndcg@10"])
    assert table.rows == [["a", "0.2500"], ["b", "0.5000"]]
    assert table.best == {(1, 1)}


def test_a_row_in_its_domain_is_marked_and_never_the_best_of_others(ledger, add):
    add("ours", [0.9], in_domain=True)
    add("b", [0.5])
    (table,) = by_task(list(ledger.read()), ["ndcg@10"])
    assert table.rows[0][0] == "ours *" and "own train split" in table.notes[0]
    assert table.best == {(1, 1)}


def test_rows_that_are_all_in_their_domain_have_a_best_one(ledger, add):
    add("a", [0.9], in_domain=True)
    add("b", [0.5], in_domain=True)
    assert by_task(list(ledger.read()), ["ndcg@10"])[0].best == {(0, 1)}


def test_an_average_is_only_of_labels_with_every_task(ledger, add):
    add("a", [0.1], task="one")
    add("a", [0.4], task="two")
    add("b", [0.9], task="two")
    (table,) = across_tasks(list(ledger.read()), "ndcg@10")
    assert list(table.headers) == ["one", "two", "average"]
    assert table.rows == [["a", "0.1000", "0.4000", "0.2500"], ["b", "", "0.9000", ""]]
    assert table.best == {(0, 1), (1, 2), (0, 3)}


def test_a_group_has_a_mean_and_counts_once_in_the_average(ledger, add):
    for task, value in (("cqa/gis", 0.2), ("cqa/tex", 0.4), ("fiqa", 0.9)):
        add("a", [value], task=task)
    add("b", [0.5], task="cqa/gis")
    (table,) = across_tasks(list(ledger.read()), "ndcg@10")
    assert list(table.headers) == ["cqa/gis", "cqa/tex", "fiqa", "cqa, mean", "average"]
    assert table.rows[0][-2:] == ["0.3000", "0.6000"] and table.rows[1][-2:] == ["", ""]


def test_across_tasks_the_mark_stands_where_the_model_was_trained(ledger, add):
    add("a", [0.1], task="one", in_domain=True)
    add("a", [0.4], task="two")
    (table,) = across_tasks(list(ledger.read()), "ndcg@10")
    assert table.rows == [["a", "0.1000 *", "0.4000", "0.2500 *"]]
    assert "own train split" in table.notes[0]


@pytest.mark.parametrize("tables", [lambda rows: by_task(rows, ["ndcg@10"]),
                                    lambda rows: across_tasks(rows, "ndcg@10")])  # fmt: skip
def test_rows_of_other_data_or_of_one_of_many_seeds_are_said_to_be_so(ledger, add, tables):
    add("a", [0.1], seed=1)
    add("a", [0.2], seed=2)
    assert tables(list(ledger.read()))[0].notes == [
        "a: the last of 2 seeds; trivet compare takes them all"
    ]
    add("b", [0.2], data="e" * 64, split="dev")
    assert "zoo: rows differ in data, split" in tables(list(ledger.read()))[0].notes


@pytest.mark.parametrize("wide", [False, True])
def test_published_figures_have_a_table_of_their_own_and_are_never_best(ledger, add, wide):
    add("a", [0.1], task="scifact")
    rows = list(ledger.read())
    tables = (
        across_tasks(rows, "ndcg@10", published=True)
        if wide
        else by_task(rows, ["ndcg@10"], published=True)
    )
    measured, published = tables
    assert [row[0] for row in measured.rows] == ["a"] and measured.best == {(0, 1)}
    assert "published elsewhere" in published.title and not published.best
    assert published.headers[-1] == "source" and all(row[-1] for row in published.rows)


def test_published_figures_of_another_metric_make_no_table(ledger, add):
    add("a", [0.1], task="scifact", metric="map")
    assert len(by_task(list(ledger.read()), ["map"], published=True)) == 1


def test_a_task_shows_the_metrics_that_were_measured_on_it_and_an_unknown_one_is_told(ledger, add):
    add("a", [0.1], task="one")
    add("b", [0.2], task="one", metric="map")
    add("a", [0.3], task="two", metric="map")
    one, two = by_task(list(ledger.read()), ["ndcg@10", "map"])
    assert list(one.headers) == ["ndcg@10", "map"] and list(two.headers) == ["map"]
    assert one.rows == [["a", "0.1000", ""], ["b", "", "0.2000"]] and two.rows == [["a", "0.3000"]]
    with pytest.raises(TrivetError, match="nothing was not measured"):
        by_task(list(ledger.read()), ["ndcg@10", "nothing"])


def test_a_share_of_nothing_and_an_unknown_bench_are_told(ledger, add):
    add("a", [0.0])
    rows = list(ledger.read())
    with pytest.raises(TrivetError, match="a has ndcg@10 0"):
        by_task(rows, ["ndcg@10"], share_of="a")
    with pytest.raises(TrivetError, match="no row of bench animal. Did you mean animals"):
        of_bench(rows, "animal")
