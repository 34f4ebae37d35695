import pytest

from trivet.bench.bench import METRICS, Bench
from trivet.bench.folder import Folder
from trivet.core.errors import ConfigError


def test_two_benches_do_not_share_their_list_of_metrics():
    first = Bench("a", [Folder("x")])
    first.metrics.append("ndcg@1")
    assert Bench("b", [Folder("x")]).metrics == METRICS


def test_a_bench_without_a_task_and_a_metric_that_is_none_are_refused():
    with pytest.raises(ConfigError, match="no task"):
        Bench("a", [])
    with pytest.raises(ConfigError, match="no metric ndgc@10"):
        Bench("a", [Folder("x")], ["ndgc@10"])
