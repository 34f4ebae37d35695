import pytest

from trivet.bench.bench import METRICS, Bench
from trivet.bench.folder import Folder
from trivet.bench.hub import Hub
from trivet.core.errors import ConfigError

PARTS = ["cqadupstack/gis", "cqadupstack/tex", "fiqa", "scifact"]


def suite(**fields):
    return Bench("suite", [Hub(name, "some/" + name) for name in PARTS], **fields)


def test_two_benches_do_not_share_their_list_of_metrics():
    first = Bench("a", [Folder("x")])
    first.metrics.append("ndcg@1")
    assert Bench("b", [Folder("x")]).metrics == METRICS


def test_a_bench_without_a_task_and_a_metric_that_is_none_are_refused():
    with pytest.raises(ConfigError, match="no task"):
        Bench("a", [])
    with pytest.raises(ConfigError, match="no metric ndgc@10"):
        Bench("a", [Folder("x")], ["ndgc@10"])
    with pytest.raises(ConfigError, match="recall@7 is not measured"):
        Bench("a", [Folder("x")], main="recall@7")


@pytest.mark.parametrize(
    ("pick", "names"),
    [
        (["fiqa"], ["fiqa"]),
        (["scifact", "fiqa", "fiqa"], ["fiqa", "scifact"]),
        (["cqadupstack"], PARTS[:2]),
        (["cqadupstack/t*", "s*"], ["cqadupstack/tex", "scifact"]),
        (None, PARTS),
    ],
)
def test_tasks_are_picked_by_name_group_or_pattern_in_the_bench_s_order(pick, names):
    assert [task.name for task in suite(pick=pick).tasks] == names


def test_an_unknown_task_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="no task scifcat.*Did you mean scifact"):
        suite(pick=["scifcat"])


def test_local_copies_are_used_where_they_are(tmp_path):
    for name in ("fiqa", "cqadupstack/gis"):
        (tmp_path / name).mkdir(parents=True)
    bench = suite(data=str(tmp_path))
    paths = {task.name: task.path for task in bench.tasks}
    assert paths["fiqa"] == str(tmp_path / "fiqa")
    assert paths["cqadupstack/gis"] == str(tmp_path / "cqadupstack/gis")
    assert paths["scifact"] is None


def test_one_task_takes_the_data_folder_itself_if_that_is_its_copy(tmp_path):
    (tmp_path / "corpus.jsonl").write_text("")
    assert suite(pick=["fiqa"], data=str(tmp_path)).tasks[0].path == str(tmp_path)
    assert suite(pick=["fiqa", "scifact"], data=str(tmp_path)).tasks[0].path is None


def test_a_data_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no such folder"):
        suite(data=str(tmp_path / "gone"))
    with pytest.raises(ConfigError, match="no copy of x"):
        Bench("a", [Folder(str(tmp_path / "x"), name="x")], data=str(tmp_path))


def test_the_main_metric_is_the_task_s_its_group_s_or_the_bench_s():
    bench = suite(mains={"cqadupstack": "map", "fiqa": "recall@10"})
    assert [bench.main_of(name) for name in PARTS] == ["map", "map", "recall@10", "ndcg@10"]
