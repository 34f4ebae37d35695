import pytest

from trivet.bench.bench import Bench
from trivet.bench.evaluation import Evaluation
from trivet.bench.folder import Folder
from trivet.bench.tune import _grid, tune
from trivet.core.errors import ConfigError
from trivet.core.records import Ranking
from trivet.retrieval.bm25 import Bm25
from trivet.retrieval.hybrid import Hybrid


class Backwards(Bm25):
    """BM25 turned upside down."""

    def search(self, ids, texts, k):
        found = super().search(ids, texts, k)
        best = found.rows[:, ::-1].copy()
        return Ranking(found.queries, found.documents, best, found.scores)


@pytest.fixture
def folder(beir):
    path = beir(
        corpus=[{"_id": f"d{i}", "text": t} for i, t in enumerate(["red fox", "fox", "whale fox"])],
        queries=[
            {"_id": "q1", "text": "red fox"},
            {"_id": "q2", "text": "whale fox"},
            {"_id": "q3", "text": "fox red"},
            {"_id": "q4", "text": "fox whale"},
        ],
        qrels="query-id\tcorpus-id\tscore\nq1\td0\t1\nq2\td2\t1\n",
    )
    head = "query-id\tcorpus-id\tscore\n"
    (path / "qrels" / "dev.tsv").write_text(f"{head}q3\td0\t1\nq4\td2\t1\n")
    (path / "qrels" / "copy.tsv").write_text(f"{head}q1\td0\t1\nq2\td2\t1\n")
    return str(path)


def bench(folder, split):
    return Bench("animals", [Folder(folder, split=split)], ["mrr@10"], main="mrr@10")


def test_weights_in_tenths_add_up_to_one_and_none_is_left_out():
    assert len(list(_grid(2))) == 9 and len(list(_grid(3))) == 36
    for parts in (2, 3, 4):
        for weights in _grid(parts):
            assert sum(weights) == pytest.approx(1) and min(weights) > 0.09


def test_the_part_that_helps_on_the_dev_split_is_given_the_weight(folder):
    for good, bad in (("a", "b"), ("b", "a")):
        parts = {good: Bm25(), bad: Backwards()}
        retriever = Hybrid(dict(sorted(parts.items())), method="minmax", depth=3)
        tune(retriever, bench(folder, "dev"), bench(folder, "test"))
        assert retriever.weights[good] > retriever.weights[bad]
        assert retriever.describe()["weights"] == retriever.weights
        assert retriever.describe()["in_domain"] == ["animals"]  # its own dev split chose them


@pytest.mark.parametrize("split", ["test", "dev"])
def test_what_is_reported_is_never_tuned_on(folder, split):
    retriever = Hybrid({"a": Bm25(), "b": Bm25(k1=2.0)})
    reported = bench(folder, split)
    with pytest.raises(ConfigError, match="Tune on a train or dev split"):
        tune(retriever, bench(folder, split), reported)


def test_only_a_hybrid_is_tuned(folder):
    with pytest.raises(ConfigError, match="only a hybrid"):
        Evaluation(bench=bench(folder, "test"), retriever=Bm25(), tune=bench(folder, "dev"))


def test_reported_queries_under_another_splits_name_are_refused(folder):
    retriever = Hybrid({"a": Bm25(), "b": Bm25(k1=2.0)})
    with pytest.raises(ConfigError, match="all queries of animals's copy split"):
        tune(retriever, bench(folder, "copy"), bench(folder, "test"))


def test_reported_queries_among_others_are_left_out_and_counted(folder, caplog):
    def weights(split):
        retriever = Hybrid({"a": Bm25(), "b": Backwards()}, method="minmax", depth=3)
        tune(retriever, bench(folder, split), bench(folder, "test"))
        return retriever.weights

    alone = weights("dev")
    with open(f"{folder}/qrels/mixed.tsv", "w") as stream:
        stream.write("query-id\tcorpus-id\tscore\nq3\td0\t1\nq4\td2\t1\nq1\td1\t1\n")
    assert weights("mixed") == alone
    assert "1 queries of animals are also reported" in caplog.text
