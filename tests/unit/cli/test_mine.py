"""`trivet mine`: what it says, what it leaves, and what it refuses."""

import json

import pytest
import yaml

from trivet.core.schema import build
from trivet.core.tables import rows

BM25 = ["~mine.miners.dense", "mine.judge=null", "mine.miners.bm25.share=0.7"]


@pytest.fixture
def pairs(tmp_path):
    """Thirty pairs in a file."""
    path = tmp_path / "animals.jsonl"
    lines = [
        {"query": f"fox {i}", "positive": f"fox {i} lives near hill {i % 7}"} for i in range(30)
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    return str(path)


def test_it_mines_shows_its_counts_and_a_data_config_that_opens(trivet, pairs, model):
    words = ("mine", "--pairs", pairs, "--model", model, "mine.judge.threshold=5.0")
    status, out, _ = trivet(*words, "mine.number=4")
    assert status == 0
    assert "animals: 30 of 30 rows kept" in out and "| dense" in out and "| random" in out
    mixture = build(yaml.safe_load(out[out.index("_target_:") :]))
    assert len(mixture.sources[0].open()) == 30
    again, out, _ = trivet(*words, "mine.number=4", "--dry-run")
    assert (again, out.split()[:2]) == (0, ["reuse", "animals"])
    assert trivet(*words, "mine.number=5", "--dry-run")[1].startswith("run ")


def test_a_dry_run_shows_every_value_though_the_hub_is_out_of_reach(trivet):
    status, out, _ = trivet("mine", "mine=edge", "data=to_mine/msmarco", "--dry-run")
    shown = [" ".join(line.split()) for line in out.splitlines()]
    assert status == 0 and out.startswith("run    msmarco              no key yet: model Qwen/")
    for line in ("mine.judge.threshold 0.95", "mine.miners.bm25.share 0.35", "mine.random 0.3"):
        assert line in shown


def test_json_is_one_object_with_the_statistics_and_the_place(trivet, pairs):
    status, out, _ = trivet("mine", "--pairs", pairs, "--json", "--out", "elsewhere", *BM25)
    assert status == 0
    (made,) = json.loads(out)["artifacts"]
    assert (made["source"], made["kind"]) == ("animals", "negatives")
    assert made["statistics"]["rows"]["written"] == 30
    assert made["path"].startswith("elsewhere/artifacts/negatives-")
    again = json.loads(trivet("mine", "--pairs", pairs, "--json", "--out", "elsewhere", *BM25)[1])
    assert again["artifacts"] == [made]


def test_the_consistency_filter_is_a_choice(trivet, pairs, tmp_path):
    words = ["mine=consistency", "retriever@mine.retriever=bm25", "mine.k=1"]
    status, out, _ = trivet("mine", "--pairs", pairs, *words, "--json")
    (made,) = json.loads(out)["artifacts"]
    assert status == 0 and made["kind"] == "consistent"
    folder = tmp_path / "work" / made["path"]
    kept = list(rows(folder / "rows.jsonl.zst"))
    assert len(kept) == made["statistics"]["rows"]["written"] == made["statistics"]["places"]["1"]
    shown = trivet("mine", "--pairs", pairs, *words)[1]
    assert f"animals: {len(kept)} of 30 rows kept; {len(kept)} found at 1" in shown


def test_a_beir_folder_is_mined_over_its_whole_corpus(trivet, zoo, tmp_path):
    words = ["--split", "test", "--json", "~mine.miners.dense", "~mine.miners.bm25"]
    words += ["mine.judge=null", "mine.random=1.0", "mine.number=2"]
    status, out, _ = trivet("mine", "--pairs", zoo(), *words)
    (made,) = json.loads(out)["artifacts"]
    assert status == 0 and made["source"] == "zoo-test"
    assert made["statistics"]["negatives"] == {"random": 4}
    found = [
        text
        for _, row in rows(tmp_path / "work" / made["path"] / "rows.jsonl.zst")
        for text in row["negatives"]
    ]
    assert set(found) & {"a green hill and a road", "owl"}  # answers to no query


@pytest.mark.parametrize(
    "words, line",
    [
        ([], "there is nothing to mine. Say --pairs FOLDER_OR_FILE, or data=NAME"),
        (["data=demo"], "--model: a retriever or reranker needs one"),
        (["data=dem", "--model", "m"], "no dem in data. Did you mean demo?"),
        (["--pairs", "nowhere", "--model", "m"], "no such file or folder"),
        (["--pairs", "PAIRS", "data=demo", "--model", "m"], "are two choices"),
        (["--pairs", "PAIRS", "--split", "train", "--model", "m"], "only a BEIR folder has splits"),
        (["--pairs", "PAIRS", "--model", "m", *BM25], "nothing wants one"),
        (["--pairs", "PAIRS", *BM25, "mine.nmber=3"], "unknown key. Did you mean number?"),
        (["--pairs", "PAIRS", *BM25, "mine.random=0.5"], "shares must add up to 1"),
        (["--pairs", "PAIRS", *BM25[1:], "--model", "m", "number"], "number sets nothing"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(trivet, pairs, words, line):
    status, out, error = trivet("mine", *(pairs if word == "PAIRS" else word for word in words))
    assert status == 2 and out == ""
    assert line in error.strip().splitlines()[-1] and "Traceback" not in error


def test_what_was_mined_is_scored_and_becomes_tuples(trivet, pairs, colbert):
    status, out, _ = trivet("mine", "--pairs", pairs, "--json", *BM25, "mine.number=2")
    (made,) = json.loads(out)["artifacts"]
    words = ("score", "--pairs", made["path"], "reranker@mine.reranker=colbert", "--model", colbert)
    status, out, error = trivet(*words)
    assert status == 0, error
    assert "animals: 90 documents of 30 queries; the first is the best of" in out
    assert "%, and all score alike for 0.0%\n" in out  # MaxSim is no logit: nothing on its ends
    mixture = build(yaml.safe_load(out[out.index("_target_:") :]))
    assert mixture.sources[0].kind == "tuples" and len(mixture.sources[0].open()) == 30
    assert trivet(*words, "--dry-run")[1].split()[:2] == ["reuse", "animals"]
    rows = f"{made['path']}/rows.jsonl.zst"
    assert "90 documents of 30" in trivet("score", "--pairs", rows, *words[3:])[1]
    status, _, error = trivet("score", "--pairs", pairs, *words[3:])
    assert (status, "one document a query" in error) == (2, True)
    assert "reranker:" in trivet("score", "--help")[1]
