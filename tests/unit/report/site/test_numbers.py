"""The numbers of a page are those of the ledger and of `trivet compare`."""

from collections import defaultdict

import numpy as np
import pytest

from trivet.report.comparison import compare
from trivet.report.selection import Choice
from trivet.report.site.pages import Pages, Question

ROUNDS = 200


def means(ledger, metric="ndcg@10"):
    """By level and task, straight from the rows."""
    found = defaultdict(list)
    for row in ledger.read():
        level = row["sweep"]["level"]["head@stages.colbert.head"] if row.get("sweep") else "BM25"
        found[level, row["task"]].append(row["metrics"][metric])
    return {key: float(np.mean(values)) for key, values in found.items()}


def test_every_mean_of_a_leaderboard_is_that_of_its_rows(swept, ledger, built, parse):
    rows = parse(built() / "board-animals.html").table("average")
    expected = means(ledger)
    assert len(rows) == 4
    for row in rows:
        label = row["label"]["text"]
        level = next(one for one in ("linear", "ffn", "glu", "BM25") if one in label)
        for task in ("birds", "fish"):
            assert row[task]["value"] == pytest.approx(expected[level, task], abs=1e-12)
        average = (expected[level, "birds"] + expected[level, "fish"]) / 2
        assert row["average"]["value"] == pytest.approx(average, abs=1e-12)
        assert row["average"]["text"].strip() == f"{average:.4f}"


def test_an_ablation_says_what_compare_says(swept, ledger, built, parse):
    table = parse(built() / "ablation-heads.html").table("difference")
    by_level = defaultdict(list)
    for row in ledger.read():
        if row.get("sweep"):
            by_level[row["sweep"]["level"]["head@stages.colbert.head"]].append(row)
    choices = [Choice(f"head={level}", by_level[level]) for level in ("linear", "ffn", "glu")]
    expected = compare(ledger.path, choices, "ndcg@10", rounds=ROUNDS)[-1]
    assert len(table) == 3 and "baseline" in table[0]["level"]["text"]
    for row, line in zip(table[1:], expected.lines[1:], strict=True):
        assert row["level"]["text"].strip() == line.name
        assert row["ndcg@10"]["value"] == pytest.approx(line.mean, abs=1e-12)
        assert row["difference"]["value"] == pytest.approx(line.against.difference, abs=1e-12)
        assert row["p (Holm)"]["value"] == pytest.approx(line.against.p_holm, abs=1e-12)
        assert ("†" in row["difference"]["text"]) == line.against.significant
        assert line.against.significant


def test_the_rows_below_how_it_was_made_are_all_rows_of_the_ledger(swept, ledger, built, parse):
    page = parse(built() / "made-animals.html")
    shown = {}
    for table in page.tables:
        if table[0][0]["text"] == "row":
            shown |= {row[0]["text"]: row[3]["value"] for row in table[1:]}
    assert shown == {row["id"]: row["metrics"]["ndcg@10"] for row in ledger.read()}
    for row in ledger.read():
        assert row["command"] in page.text


def test_rows_of_one_label_are_asked_for_as_compare_asks(add, ledger, built, parse):
    for label, lift in (("base", 0.0), ("other", 0.1)):
        add(label, np.linspace(0.2, 0.6, 30) + lift)
    one = Question(name="why", title="Why?", bench="animals", rows=["base", "other"])
    table = parse(built(Pages(ablations=[one])) / "ablation-why.html").table("difference")
    assert table[1]["difference"]["value"] == pytest.approx(0.1, abs=1e-12)


def test_steps_of_a_ladder_are_corrected_together(add, built, parse):
    noise = np.random.default_rng(0).normal(0, 0.05, (3, 40))
    for stage, mean, luck in zip(("one", "two", "three"), (0.3, 0.34, 0.35), noise, strict=True):
        add(stage, np.clip(mean + luck, 0, 1))
    ladder = Question(name="up", title="Up?", bench="animals", rows=["one", "two", "three"])
    table = parse(built(Pages(ladders=[ladder])) / "ladder-up.html").table("step")
    alone = [
        parse(
            built(
                Pages(ablations=[Question(name="x", title="?", bench="animals", rows=list(pair))])
            )
            / "ablation-x.html"
        ).table("difference")[1]
        for pair in (("one", "two"), ("two", "three"))
    ]
    raw = [row["p (Holm)"]["value"] for row in alone]
    first, second = sorted(raw)
    corrected = {first: 2 * first, second: max(2 * first, second)}
    for row, single, p in zip(table[1:], alone, raw, strict=True):
        assert row["step"]["value"] == pytest.approx(single["difference"]["value"], abs=1e-12)
        assert row["p (Holm)"]["value"] == pytest.approx(min(1, corrected[p]))


def test_a_label_without_every_task_has_no_average_and_keeps_its_task(add, built, parse):
    for task in ("birds", "fish"):
        add("both", np.linspace(0, 1, 20), task=task)
    add("one", np.linspace(0.1, 0.9, 20), task="birds")
    rows = {row["label"]["text"].strip(): row for row in
            parse(built() / "board-animals.html").table("average")}  # fmt: skip
    assert rows["one"]["average"]["value"] is None and rows["one"]["fish"]["value"] is None
    assert rows["one"]["birds"]["value"] == pytest.approx(0.5)


def test_one_task_on_other_data_is_a_task_of_its_own(add, built, parse):
    add("old", np.full(20, 0.5), data="a" * 64)
    add("new", np.full(20, 0.7), data="b" * 64)
    text = parse(built() / "board-animals.html").text
    assert "zoo (data aaaaaaaaaaaa)" in text and "zoo (data bbbbbbbbbbbb)" in text


def test_an_in_domain_row_is_marked_and_is_not_the_best(add, built, parse):
    add("fair", np.full(20, 0.5))
    add("trained on it", np.full(20, 0.9), in_domain=True)
    page = built() / "board-animals.html"
    rows = {row["label"]["text"].strip(): row for row in parse(page).table("95% interval")}
    assert "*" in "".join(cell["text"] for cell in rows["trained on it"].values())
    best = page.read_text().split('class="num best"')
    assert len(best) == 2 and "0.5000" in best[1][:80]


def test_published_figures_stand_apart(add, built, parse):
    add("ours", np.full(20, 0.5), task="scifact")
    page = parse(built() / "board-animals.html")
    measured = page.tables[0]
    published = page.table("source")
    assert "mxbai-edge-colbert-v0-17m" in [row["model"]["text"] for row in published]
    assert "mxbai" not in "".join(cell["text"] for row in measured for cell in row)
    assert 0.719 not in page.values
