from trivet.bench.table import table


def test_every_line_is_as_long_as_the_longest_cells_ask():
    text = table(["task", "ndcg@10"], [["scifact", "0.6"], ["a task with a long name", "0.12345"]])
    assert text.splitlines() == [
        "| task                    | ndcg@10 |",
        "| ----------------------- | ------: |",
        "| scifact                 |     0.6 |",
        "| a task with a long name | 0.12345 |",
    ]


def test_a_table_may_have_no_rows():
    assert len(table(["task"], []).splitlines()) == 2
