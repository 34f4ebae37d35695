"""`trivet explain`: a page for texts that are typed, and for a query of a bench."""

import gzip
import re
from pathlib import Path

import pytest


def test_texts_that_are_typed_are_ranked_and_shown(trivet, colbert, tmp_path):
    words = ["--query", "a <red> fox", "--document", "an owl", "--document", "the red fox"]
    status, out, err = trivet("explain", "--model", colbert, *words, "--out", tmp_path / "a/b.html")
    assert status == 0, err
    assert re.search(r"^A  \S+  rank 1, document [12]$", out, re.M)
    assert out.strip().endswith("b.html")
    page = (tmp_path / "a" / "b.html").read_text(encoding="utf-8")
    assert "a &lt;red&gt; fox" in page and "<red>" not in page
    assert page.count("<article") == 2


def test_a_query_of_a_bench_is_searched_as_eval_searches_it(trivet, colbert, zoo, rows):
    folder = zoo(qrels="q1\ta\t1\nq2\tb\t2\n")
    words = ["--bench", folder, "--model", colbert]
    status, out, err = trivet("explain", *words, "--query", "q2", "--top", 1)
    assert status == 0, err
    assert re.search(r"document b \(relevant\)$", out, re.M)
    assert trivet("eval", *words, "--retriever", "colbert", "--k", 100)[0] == 0
    ranking = {}
    path = f"results/{rows()[0]['ranking']}"
    for line in gzip.decompress(Path(path).read_bytes()).decode().splitlines():
        query, _, document, rank, score, _ = line.split()
        ranking[query, document] = (float(score), int(rank))
    for score, rank, document in re.findall(r"  (\S+)  rank (\d+), document (\w+)", out):
        assert (float(score), int(rank)) == pytest.approx(ranking["q2", document], abs=1e-3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--query", "fox"], "--document: no document"),
        (["--query", "q9", "--bench", "ZOO"], "no query q9 in zoo. Give a query's id"),
        (["--query", "q1", "--bench", "ZOO", "--document", "z"], "no document z"),
        (["--query", "q1", "--bench", "ZOO", "--top", "0"], "--top: must be at least 1"),
        (["--query", " ", "--document", "x"], "the query is empty"),
        (["--query", "q1", "--bench", "beir"], "26 tasks in the bench. Choose one with --tasks"),
    ],
)
def test_a_mistake_is_told_in_one_line(trivet, colbert, zoo, words, said):
    words = [zoo() if word == "ZOO" else word for word in words]
    status, _, err = trivet("explain", "--model", colbert, *words)
    assert status == 2 and said in err.strip().splitlines()[-1], err
