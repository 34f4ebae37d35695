"""What must not be confused, on a page or behind a name."""

import json

import numpy as np
import pytest

from trivet.cli.report import run as cli
from trivet.core.errors import ConfigError
from trivet.report.site.held import hold

VALUES = np.linspace(0.2, 0.6, 20)


def sweep(level, baseline=None, name="rates", number="1"):
    return {"name": name, "id": f"{name}-{number}", "level": level, "baseline": baseline}


def pages(folder, start):
    return sorted(path.name for path in folder.glob(f"{start}-*.html"))


def test_benches_and_sweeps_whose_names_differ_in_signs_have_pages_of_their_own(add, built, parse):
    for number, bench in enumerate(["a b", "a-b", "β", "γ"]):
        add(f"of {bench}", VALUES, bench=bench)
        add(f"also {number}", VALUES, bench=bench)
    for name in ("lr_x", "lr-x"):
        for rate in (1, 2):
            add(f"{name}{rate}", VALUES, bench="a b", sweep=sweep({"lr": rate}, name=name))
    site = built()
    boards = [parse(site / name).text for name in pages(site, "board")]
    assert len(boards) == 4
    assert all(sum(f"of {bench}" in text for text in boards) == 1 for bench in ("a b", "a-b", "β"))
    assert pages(site, "ablation") == ["ablation-lr-x-2.html", "ablation-lr-x.html"]
    assert len(list((site / "figures").glob("board-*.svg"))) == 4


def test_a_sign_that_no_picture_can_hold_is_left_out_of_it(add, built, parse):
    add("bell \x07 and \x00", VALUES)
    add("other", VALUES + 0.1)
    assert "bell" in parse(built() / "board-animals.html").text


def test_levels_are_compared_on_the_seeds_that_all_of_them_have(add, built, parse):
    for rate, seeds in ((1, (1, 2, 3)), (2, (3,))):
        for seed in seeds:  # the seed decides, the rate does not
            add("m", VALUES + seed / 10, seed=seed, sweep=sweep({"lr": rate}, {"lr": 1}))
    page = parse(built() / "ablation-rates.html")
    assert "lr=2 lacks 1, 2" in page.text
    assert page.table("difference")[1]["difference"]["value"] == pytest.approx(0.0, abs=1e-12)
    board = parse(built() / "board-animals.html")
    assert "rows have 1 to 3 seeds" in board.text


def test_levels_without_a_common_seed_are_not_compared(add, built, parse):
    for rate in (1, 2):
        add("m", VALUES, seed=rate, sweep=sweep({"lr": rate}, {"lr": 1}))
    text = parse(built() / "ablation-rates.html").text
    assert "not compared: no seed was measured at every level" in " ".join(text.split())


def test_what_a_baseline_does_not_name_is_the_same_on_both_sides_of_a_difference(add, built, parse):
    for rate in (1, 2):
        for dim in (16, 48):
            level = sweep({"lr": rate, "dim": dim}, {"lr": 1})
            add("m", VALUES + rate / 100 + dim / 100, sweep=level)
    site = built()
    assert pages(site, "ablation") == ["ablation-rates-dim-16.html", "ablation-rates-dim-48.html"]
    for name in pages(site, "ablation"):
        table = parse(site / name).table("difference")
        assert [row["level"]["text"].strip().split()[0] for row in table] == ["lr=1", "lr=2"]
        assert table[1]["difference"]["value"] == pytest.approx(0.01)


def test_seeds_of_a_level_are_one_line_and_two_sweeps_are_two(add, built, parse):
    for number, shift in (("1", 0.0), ("2", 0.2)):
        for seed in (1, 2):
            add("tiny", VALUES + shift, seed=seed, sweep=sweep({}, number=number))
    table = parse(built() / "board-animals.html").table("label")
    names = sorted(row["label"]["text"].split("\n")[0].strip() for row in table)
    assert len(table) == 2 and "rates-1" in names[0] and "rates-2" in names[1]


def test_a_stage_that_levels_share_is_not_called_after_one_of_them(tmp_path, built, parse):
    for number, (head, stages) in enumerate([("linear", ["start", "late"]), ("ffn", ["late"])]):
        folder = tmp_path / "outputs" / "runs" / f"tiny-{number}"
        level = sweep({"head@stages.late.head": head, "stages.start.lr": 1})
        config = {"name": "tiny", "stages": {"start": {}, "late": {}}, "sweep": level}
        for stage in stages:
            (folder / stage).mkdir(parents=True)
            (folder / stage / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n')
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "manifest.json").write_text('{"state": "finished", "stages": null}')
    page = parse(built(outputs=[tmp_path / "outputs"]) / "curves.html")
    names = [[row[0]["text"] for row in table[1:]] for table in page.tables]
    assert sorted(names) == [["as it is"], ["head=linear", "head=ffn"]]


def test_a_damaged_manifest_of_some_artifact_is_passed_over(swept, ledger, tmp_path):
    broken = tmp_path / "outputs" / "artifacts" / "start-1"
    broken.mkdir(parents=True)
    (broken / "manifest.json").write_text("{")
    assert hold(ledger.path, [tmp_path / "outputs"]).rows


def test_a_ledger_that_is_named_must_be_there(tmp_path, runs):
    words = ["--ledger", str(tmp_path / "typo.jsonl"), "--runs", str(runs)]
    with pytest.raises(ConfigError, match="typo.jsonl: no ledger"):
        cli([*words, "--site", str(tmp_path / "site")])
    assert not (tmp_path / "site").exists()
