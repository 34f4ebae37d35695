"""A sweep, as it is typed, ends in a page whose numbers are the ledger's."""

import json
import re

import pytest

from trivet.bench.ledger import Ledger


def test_a_sweep_of_heads_ends_in_a_page_with_the_numbers_of_the_ledger(typed, tmp_path, parse):
    bench = tmp_path / "numbers"
    (bench / "qrels").mkdir(parents=True)
    for name, lines in (
        ("corpus", [{"_id": f"d{i}", "text": f"{i * 37} is a number"} for i in range(12)]),
        ("queries", [{"_id": f"q{i}", "text": f"what is {i * 37}?"} for i in range(6)]),
    ):
        (bench / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    judged = "".join(f"q{i}\td{i}\t1\n" for i in range(6))
    (bench / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    words = ["+exp=tiny", "+ablation=projection_heads", "head@stages.colbert.head=linear,ffn",
             "seed=1", "machine=local", "debug=steps4",
             "measure='--bench numbers --ledger ledger.jsonl --no-cache'"]  # fmt: skip
    cache = {"TRIVET_CACHE": str(tmp_path / "cache")}
    done = typed("train", "-m", *words, cwd=tmp_path, **cache)
    assert done.returncode == 0, done.stderr
    (index,) = re.findall(r"^the page: (.+/site/index\.html)$", done.stdout, re.M)
    rows = list(Ledger(tmp_path / "ledger.jsonl").read())
    expected = {
        row["sweep"]["level"]["head@stages.colbert.head"]: row["metrics"]["ndcg@10"] for row in rows
    }
    assert set(expected) == {"linear", "ffn"}
    site = tmp_path / index
    table = parse(site.parent / "ablation-projection-heads.html").table("difference")
    shown = {row["level"]["text"].strip(): row for row in table}
    assert len(shown) == 2
    for level, value in expected.items():
        (row,) = [row for name, row in shown.items() if level in name]
        assert row["ndcg@10"]["value"] == pytest.approx(value, abs=1e-12)
    (other,) = [row for name, row in shown.items() if "ffn" in name]
    found = other["difference"]["value"]
    assert found == pytest.approx(expected["ffn"] - expected["linear"], abs=1e-12)
    assert "ablation-projection-heads.html" in parse(site).links
