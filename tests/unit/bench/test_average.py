import pytest

from trivet.bench.average import by_group, overall
from trivet.bench.bench import Bench
from trivet.bench.folder import Folder

VALUES = {
    "needle/256": {"accuracy@1": 0.9, "ndcg@10": 0.95},
    "needle/512": {"accuracy@1": 0.5, "ndcg@10": 0.75},
    "qmsum": {"accuracy@1": 0.0, "ndcg@10": 0.3},
}


def bench():
    tasks = [Folder("x", name=name) for name in VALUES]
    return Bench("b", tasks, ["ndcg@10", "accuracy@1"], mains={"needle": "accuracy@1"})


def test_a_group_is_the_mean_of_its_parts_in_every_metric():
    found = by_group(VALUES)
    assert set(found) == {"needle"}
    assert found["needle"] == pytest.approx({"accuracy@1": 0.7, "ndcg@10": 0.85})


def test_a_group_counts_as_much_as_a_task_and_each_by_its_main_metric():
    assert overall(VALUES, bench()) == pytest.approx((0.7 + 0.3) / 2)


def test_without_groups_it_is_the_plain_mean():
    plain = {name: values for name, values in VALUES.items() if name == "qmsum"}
    assert by_group(plain) == {} and overall(plain, bench()) == 0.3
