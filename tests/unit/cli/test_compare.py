"""`trivet compare` and `trivet report` as typed, on ledgers made by hand."""

import csv
import io
import json

import numpy as np
import pytest

from trivet.cli.main import main

DENSE = {"lengths": {"query": 8}, "prompts": {"query": ""}}


def scores(seed):
    return np.random.default_rng(seed).random(20)


@pytest.fixture
def typed(ledger, capsys):
    """A function that runs a command on the ledger: status, output, complaint."""

    def typed(command, *words):
        status = main([command, *words, "--ledger", str(ledger.path)])
        out = capsys.readouterr()
        return status, out.out, out.err

    return typed


@pytest.fixture
def rows(add):
    for task in ("one", "two"):
        add("BM25", scores(0), task=task)
        add("ours", scores(0) + 0.1 + scores(1) / 10, task=task, **DENSE)


def test_a_comparison_is_a_table_for_each_task_and_their_average(rows, typed):
    status, out, _ = typed("compare", "BM25", "ours", "--bench", "animals", "--rounds", "500")
    assert status == 0
    heads = [line.split("|")[1].strip() for line in out.splitlines() if "p (Holm)" in line]
    assert heads == ["one", "two", "average"]
    assert out.count("†") == 6  # three differences, three times what it means
    assert "500 rounds, seed 0" in out


def test_the_same_seed_prints_the_same_and_another_does_not(rows, typed):
    first, again, other = (
        typed("compare", "BM25", "ours", "--rounds", "300", "--seed", seed)[1] for seed in "112"
    )
    assert first == again
    assert first != other.replace("seed 2", "seed 1")


def test_json_is_one_object_with_every_figure(rows, typed):
    out = json.loads(typed("compare", "BM25", "ours", "--json", "--rounds", "300")[1])
    assert out["baseline"] == "BM25"
    assert [table["title"] for table in out["tables"]] == ["one", "two", "average"]
    line = out["tables"][0]["lines"][1]
    assert (line["name"], line["seeds"], len(line["interval"])) == ("ours", 1, 2)
    against = line["against"]
    assert against["significant"] is True
    low, high = against["interval"]
    assert low < against["difference"] < high and 0 < against["p"] <= against["p_holm"]


def test_every_format_has_every_row(rows, typed):
    words = ("compare", "BM25", "ours", "--rounds", "300", "--format")
    latex = typed(*words, "latex")[1]
    assert latex.count(r"\toprule") == 3 and latex.count(r"ours & \textbf{") == 3
    table = list(csv.DictReader(io.StringIO(typed(*words, "csv")[1])))
    assert [row["row"] for row in table] == ["BM25", "ours"] * 3


def test_rows_measured_in_two_ways_end_with_status_three_and_one_line(rows, add, typed):
    add("long", scores(2), task="one", lengths={"query": 32}, prompts={"query": ""})
    status, out, err = typed("compare", "ours", "long")
    assert (status, out, err.count("\n")) == (3, "", 1)
    assert 'lengths: {"query": 8} in ours' in err and '{"query": 32} in long' in err
    status, out, _ = typed("compare", "ours", "long", "--across", "lengths,prompts")
    assert status == 0 and "rows differ in lengths, which was allowed" in out


def test_mistakes_end_with_status_two_and_one_line(rows, typed):
    for words, expected in [
        (("BM25", "our"), "no row our. Did you mean ours?"),
        (("BM25", "ours", "--metric", "map"), "map was not measured. There is: ndcg@10"),
        (("BM25", "ours", "--rounds", "0"), "--rounds: must be at least 1"),
    ]:
        status, out, err = typed("compare", *words)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert expected in err


def test_an_empty_ledger_is_told(typed):
    assert "no rows" in typed("compare", "a", "b")[2]


def test_a_missing_file_of_scores_is_one_line(add, ledger, typed):
    add("a", scores(0))
    (ledger.path.parent / add("b", scores(1))["per_query"]).unlink()
    status, _, err = typed("compare", "a", "b")
    assert status == 2 and "no scores of b" in err and err.count("\n") == 1


def test_a_wide_report_is_one_table_of_one_metric(rows, typed):
    _, out, _ = typed("report", "--wide", "--metrics", "ndcg@10")
    head, _, *lines = out.splitlines()
    assert [cell.strip() for cell in head.split("|")[1:-1]] == ["ndcg@10", "one", "two", "average"]
    assert [line.split("|")[1].strip() for line in lines] == ["BM25", "ours"]


def test_a_report_of_one_bench_goes_to_a_file(rows, add, typed, tmp_path):
    add("other", scores(3), bench="plants", task="moss")
    path = tmp_path / "table.tex"
    words = ("--bench", "plants", "--metrics", "ndcg@10", "--format", "latex")
    status, out, _ = typed("report", *words, "--output", str(path))
    assert (status, out) == (0, "")
    text = path.read_text()
    assert r"\caption{moss}" in text and "BM25" not in text
    status, _, err = typed("report", *words, "--output", str(tmp_path / "no" / "table.tex"))
    assert status == 2 and err.count("\n") == 1
