import pytest

from trivet.bench.bench import Bench
from trivet.bench.evaluation import Evaluation
from trivet.bench.folder import Folder
from trivet.bench.ledger import Ledger
from trivet.core.errors import ConfigError, DataError
from trivet.retrieval.bm25 import Bm25


def evaluation(ledger, *folders, **fields):
    bench = Bench("zoo", [Folder(str(folder)) for folder in folders], ["ndcg@10"])
    return Evaluation(bench=bench, retriever=Bm25(), ledger=str(ledger), **fields)


def test_every_task_of_a_bench_leaves_one_row(beir, tmp_path):
    path = tmp_path / "ledger.jsonl"
    rows = evaluation(path, beir(name="one"), beir(name="two")).run("the command")
    assert list(Ledger(path).read()) == rows
    assert [row["task"] for row in rows] == ["one", "two"]
    assert {(row["bench"], row["command"]) for row in rows} == {("zoo", "the command")}


def test_a_task_that_fails_keeps_the_rows_of_those_before_it(beir, tmp_path):
    path = tmp_path / "ledger.jsonl"
    with pytest.raises(DataError, match="no split test"):
        evaluation(path, beir(name="one"), beir(name="two", qrels=None)).run("c")
    assert [row["task"] for row in Ledger(path).read()] == ["one"]


@pytest.mark.parametrize("k, match", [(0, "at least 1"), (9, "ndcg@10 needs 10")])
def test_a_k_that_the_metrics_cannot_use_is_refused_before_any_work(tmp_path, k, match):
    with pytest.raises(ConfigError, match=match):
        evaluation(tmp_path / "ledger.jsonl", tmp_path, k=k)
