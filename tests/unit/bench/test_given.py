import numpy as np
import pytest

from trivet.bench.bench import Bench
from trivet.bench.evaluate import evaluate
from trivet.bench.evaluation import Evaluation
from trivet.bench.folder import Folder
from trivet.bench.given import Given
from trivet.bench.ledger import Ledger
from trivet.bench.trec import write_ranking
from trivet.core.errors import ConfigError, DataError
from trivet.retrieval.bm25 import Bm25

METRICS = ["ndcg@10", "recall@1", "map"]
RUN = "q2 Q0 d2 1 2.5 ours\nq2 Q0 d1 2 1.5 ours\nq1 Q0 d2 1 9 ours\nq1 Q0 d1 2 8 ours\n"


@pytest.fixture
def animals(beir):
    return Folder(str(beir())).load()


def given(tmp_path, text, name="animals.trec"):
    (tmp_path / name).write_text(text)
    return Given(str(tmp_path / name))


def test_a_retrievers_own_ranking_measured_alone_has_its_numbers(animals, tmp_path):
    ours = evaluate(animals, Bm25(), k=3, metrics=METRICS[1:])
    write_ranking(tmp_path / "animals.trec.gz", ours.ranking, "ours")
    again = evaluate(animals, Given(str(tmp_path)), k=3, metrics=METRICS[1:])
    assert again.metrics == ours.metrics
    assert all(np.array_equal(again.per_query[m], ours.per_query[m]) for m in ours.metrics)
    assert again.ranking.queries == list(animals.queries)


def test_the_row_says_whose_ranking_it_is_and_that_nothing_else_is_known(animals, tmp_path):
    ranking = given(tmp_path, RUN)
    result = evaluate(animals, ranking, k=10, metrics=METRICS)
    row = Ledger(tmp_path / "l.jsonl").add(result, bench="b", command="c")
    facts = row["retriever"]
    assert (row["label"], facts["kind"], facts["model"]) == ("ours", "ranking", "ours")
    assert (facts["precision"], facts["in_domain"], facts["trained_on"]) == ("unknown", [], None)
    assert row["metrics"]["recall@1"] == 0.5 and row["metrics"]["map"] == 0.75
    other = given(tmp_path, RUN + "\n", "animals.trec")
    assert evaluate(animals, other, k=10, metrics=METRICS).retriever["model_key"] not in (
        None,
        facts["model_key"],
    )


def test_a_missing_query_counts_as_0_and_is_told(animals, tmp_path, caplog):
    result = evaluate(animals, given(tmp_path, RUN[: RUN.index("q1")]), k=10, metrics=METRICS)
    assert result.metrics["recall@1"] == 0.5
    assert result.per_query["ndcg@10"].tolist() == [0.0, 1.0]
    assert result.retriever["missing_queries"] == 1
    assert "1 of 2 queries are missing and count as 0" in caplog.text


def test_what_is_odd_is_told_once_each(animals, tmp_path, caplog):
    text = RUN.replace("q2 Q0 d2 1", "q2 Q0 d2 3") + "q9 Q0 d1 1 1 ours\nq8 Q0 ? 1 1 ours\n"
    evaluate(animals, given(tmp_path, text), k=10, metrics=METRICS)
    told = [record.getMessage().split("animals.trec: ")[1] for record in caplog.records]
    assert [line[:9] for line in told] == ["2 queries", "in 1 quer", "at most 2"]


def test_a_document_of_the_querys_own_id_is_dropped_before_the_cut(beir, tmp_path):
    queries = [{"_id": "d1", "text": "fox"}]
    folder = beir(queries=queries, qrels="query-id\tcorpus-id\tscore\nd1\td2\t1\n")
    task = Folder(str(folder), drop_self=True).load()
    text = "d1 Q0 d1 1 9 t\nd1 Q0 d2 2 8 t\n"
    assert evaluate(task, given(tmp_path, text), k=1, metrics=["recall@1"]).metrics == {
        "recall@1": 1.0
    }


def test_a_run_without_any_query_of_the_task_is_refused(animals, tmp_path):
    with pytest.raises(DataError, match="no query of animals is in it"):
        evaluate(animals, given(tmp_path, "q7 Q0 d1 1 1 t\n"), k=10, metrics=METRICS)


def test_each_task_of_a_bench_has_its_file_in_the_folder(beir, tmp_path):
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "zoo__one.trec").write_text(RUN)
    (runs / "two.trec").write_text(RUN.replace("ours", "theirs"))
    tasks = [Folder(str(beir(name="one")), name="zoo/one"), Folder(str(beir(name="two")))]
    ledger = str(tmp_path / "l.jsonl")
    bench = Bench("zoo", tasks, ["map"], main="map")
    rows = Evaluation(bench=bench, retriever=Given(str(runs)), ledger=ledger).run("c")
    assert [(row["task"], row["label"]) for row in rows] == [("zoo/one", "ours"), ("two", "theirs")]
    (runs / "zoo__one.trec").rename(runs / "zoo__won.trec")
    with pytest.raises(DataError, match="no run of zoo/one. Did you mean zoo/won"):
        Evaluation(bench=bench, retriever=Given(str(runs)), ledger=ledger).run("c")
    with pytest.raises(ConfigError, match="one run for 2 tasks"):
        Evaluation(bench=bench, retriever=Given(str(runs / "two.trec")), ledger=ledger)


def test_a_place_that_is_none_is_named(animals, tmp_path):
    with pytest.raises(DataError, match="nowhere: no such file or folder"):
        evaluate(animals, Given(str(tmp_path / "nowhere")), k=10, metrics=METRICS)
