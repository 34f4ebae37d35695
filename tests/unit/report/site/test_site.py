"""The pages: links that lead somewhere, texts that cannot do harm, nothing from elsewhere."""

import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from trivet.core.errors import ConfigError, TrivetError
from trivet.report.site.pages import Pages, Question, read_pages

HOSTILE = """<script>alert(1)</script>"'><img src=x onerror=alert(2)>{{ 7*7 }}&amp;"""


def test_every_link_leads_to_a_file_and_a_place_that_are_there(swept, runs, built, parse):
    out = built(outputs=[runs])
    pages = {path.name: parse(path) for path in out.glob("*.html")}
    assert {"index.html", "board-animals.html", "made-animals.html"} <= pages.keys()
    assert {"ablation-heads.html", "curves.html"} <= pages.keys()
    for name, page in pages.items():
        for link in page.links:
            file, _, place = link.partition("#")
            assert (out / (file or name)).is_file(), f"{name}: {link}"
            if place:
                assert place in pages[file or name].ids, f"{name}: {link}"


def test_no_id_is_given_twice(swept, runs, built, parse):
    for path in built(outputs=[runs]).glob("*.html"):
        ids = parse(path).ids
        assert len(ids) == len(set(ids)), path.name


def test_every_figure_is_also_a_file_for_a_paper(swept, runs, built):
    out = built(outputs=[runs])
    named = set(
        re.findall(r'(?:href|src)="(figures/[^"]+)"', "".join(map(_read, out.glob("*.html"))))
    )
    assert {f"figures/{path.name}" for path in (out / "figures").iterdir()} == named
    for path in (out / "figures").iterdir():
        start = {".svg": b"<?xml", ".pdf": b"%PDF"}[path.suffix]
        assert path.read_bytes().startswith(start)
        if path.suffix == ".svg":
            assert ElementTree.fromstring(path.read_bytes()).tag.endswith("}svg")
            assert "prefers-color-scheme:dark" in _read(path)


def test_nothing_is_fetched_from_anywhere(swept, runs, built):
    for path in built(outputs=[runs]).glob("*.html"):
        text = re.sub(r'\sxmlns(:\w+)?="[^"]+"', "", _read(path))
        assert not re.search(r"(src|href)=\"(\w+:|//)|@import|url\((?!#)", text), path.name
        assert "connect-src" not in text and "default-src 'none'" in text


def test_a_hostile_label_is_shown_and_does_nothing(add, built, parse):
    add(HOSTILE, np.full(20, 0.5), command=HOSTILE, task=f"task {HOSTILE}")
    add("other", np.full(20, 0.4), task=f"task {HOSTILE}")
    one = Question(name="q", title=HOSTILE, text=HOSTILE, bench="animals", rows=[HOSTILE, "other"])
    out = built(Pages(title=HOSTILE, text=HOSTILE, ablations=[one], ladders=[]))
    for path in out.glob("*.html"):
        text = _read(path)
        assert (
            "<script>alert" not in text and "<img src=x" not in text and "49" not in parse(path).ids
        )
        assert text.count("<script") == 1
        assert HOSTILE in parse(path).text
    for path in (out / "figures").glob("*.svg"):
        assert "<script>" not in _read(path) and "<img" not in _read(path)


def test_labels_that_differ_in_signs_only_have_places_of_their_own(add, built, parse):
    for label in ("a b", "a-b", "a, b", "…"):
        add(label, np.full(20, 0.5))
    rows = parse(built() / "board-animals.html")
    places = [link for link in rows.links if link.startswith("made-")]
    assert len(places) == 4 and len(set(places)) == 4


def test_the_same_ledger_gives_the_same_bytes(swept, runs, built):
    first = {p.name: p.read_bytes() for p in built(outputs=[runs]).rglob("*") if p.is_file()}
    again = {p.name: p.read_bytes() for p in built(outputs=[runs]).rglob("*") if p.is_file()}
    assert first == again


def test_a_site_takes_the_place_of_a_site_and_of_nothing_else(swept, built, tmp_path):
    built()
    built()
    (tmp_path / "site" / "index.html").write_text("my own page")
    with pytest.raises(ConfigError, match="holds something else"):
        built()
    assert (tmp_path / "site" / "index.html").read_text() == "my own page"


def test_how_a_row_was_made_tells_what_its_config_changes_and_its_descent(
    ledger, add, built, parse
):
    keys = {"one": "1" * 64, "two": "2" * 64}
    folder = ledger.path.parent / "manifests"
    folder.mkdir(parents=True)
    start = {"stage": "start", "key": "0" * 64, "trained_on": [], "config": {"dim": 128}}
    for label, rate in (("one", 0.5), ("two", 0.25)):
        row = add(label, np.full(20, rate), lengths={"query": 8}, prompts={"query": ""})
        row["retriever"]["model_key"] = keys[label]
        manifest = {
            "key": keys[label],
            "stage": "pretrain",
            "trained_on": ["papers"],
            "config": {"_target_": "a.b.Pretrain", "optim": {"lr": rate}, "seed": 1},
            "ancestors": [start],
            "origins": {"data": {"hub": "org/papers", "revision": "main"}},
        }
        (folder / f"{keys[label][:16]}.json").write_text(json.dumps(manifest))
    rows = list(ledger.read())
    for row in rows:
        row["retriever"]["model_key"] = keys[row["label"]]
    ledger.path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = " ".join(parse(built() / "made-animals.html").text.split())
    for word in ("pretrain.optim.lr", "0.5", "0.25", "start", "0" * 16, "trained on papers"):
        assert word in text
    assert "from hub org/papers, revision main" in text
    assert "pretrain.seed" not in text.split("Config, where it differs")[1].split("rows of")[0]


def test_stages_that_descend_from_each_other_are_a_ladder(ledger, add, built, parse):
    folder = ledger.path.parent / "manifests"
    folder.mkdir(parents=True)
    below = []
    for number, label in enumerate(("start", "pretrain", "finetune")):
        key = str(number) * 64
        add(label, np.full(20, 0.4) + number / 50, lengths={"query": 8}, prompts={"query": ""})
        (folder / f"{key[:16]}.json").write_text(
            json.dumps({"key": key, "stage": label, "config": {}, "ancestors": below})
        )
        below = [*below, {"key": key, "stage": label, "config": {}}]
    rows = list(ledger.read())
    for number, row in enumerate(rows):
        row["retriever"]["model_key"] = str(number) * 64
    ledger.path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = parse(built() / "ladder-stages-animals-finetune.html").table("step")
    assert [row["after"]["text"] for row in table] == ["start", "pretrain", "finetune"]
    assert table[2]["step"]["value"] == pytest.approx(0.02)


def test_rows_that_may_not_be_compared_are_refused_on_their_page(add, built, parse):
    add("short", np.full(20, 0.5), lengths={"query": 8}, prompts={"query": ""})
    add("long", np.full(20, 0.6), lengths={"query": 32}, prompts={"query": ""})
    one = Question(name="q", title="Q", bench="animals", rows=["short", "long"])
    assert "not compared: zoo: lengths" in parse(
        built(Pages(ablations=[one])) / "ablation-q.html"
    ).text.replace("\n", " ")
    allowed = Question(name="q", title="Q", bench="animals", rows=one.rows, across=["lengths"])
    assert parse(built(Pages(ablations=[allowed])) / "ablation-q.html").table("difference")


def test_curves_tell_the_runs_apart_and_say_which_go_on(runs, built, parse):
    page = parse(built(outputs=[runs]) / "curves.html")
    table = page.table("last dev/ndcg@10")
    assert {row["config"]["text"]: row["state"]["text"] for row in table} == {
        "lr=0.001": "finished",
        "lr=0.0001": "running",
    }
    assert [row["last dev/ndcg@10"]["value"] for row in table] == [0.15, 0.15]
    assert [row["steps"]["text"] for row in table] == ["15", "15"]


def test_pages_are_read_from_a_file_whose_mistakes_are_named(tmp_path, swept, built):
    path = tmp_path / "pages.yaml"
    path.write_text("title: T\nablations:\n- {name: a, title: A, bench: animals, rows: [x, y]}\n")
    assert read_pages(path).ablations[0].rows == ["x", "y"]
    with pytest.raises(TrivetError, match="a: no row x"):
        built(read_pages(path))
    for text, said in [
        ("titel: T", "titel: unknown key. Did you mean title"),
        ("ablations:\n- {name: A b, title: A, bench: b, rows: [x, y]}", "is no page's name"),
        ("ablations:\n- {name: a, title: A, bench: b, rows: [x]}", "one row alone"),
        ("- [", "cannot be read"),
    ]:
        path.write_text(text)
        with pytest.raises(ConfigError, match=said):
            read_pages(path)


def _read(path):
    return path.read_text(encoding="utf-8")
