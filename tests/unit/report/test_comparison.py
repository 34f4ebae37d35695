import itertools

import numpy as np
import pytest

from trivet.bench.significance import bootstrap, document_groups, draws, holm, permutation
from trivet.report.comparison import Against, compare
from trivet.report.comparison_table import as_table
from trivet.report.selection import choose

SEED, ROUNDS = 3, 400


def scores(seed, count=30):
    return np.random.default_rng(seed).random(count)


def compared(ledger, *names, **options):
    choices = choose(list(ledger.read()), names, None)
    return compare(ledger.path, choices, "ndcg@10", seed=SEED, rounds=ROUNDS, **options)


def test_a_table_holds_what_the_functions_say_of_the_scores(ledger, add):
    values = {"base": scores(0), "b": scores(1) + 0.2, "c": scores(2)}
    for label, of_label in values.items():
        add(label, of_label)
    (table,) = compared(ledger, "base", "b", "c")
    base, *others = table.lines
    assert base.against is None and base.mean == pytest.approx(values["base"].mean())
    p = [permutation(values[x], values["base"], seed=SEED, rounds=ROUNDS) for x in "bc"]
    for line, raw, corrected in zip(others, p, holm(p), strict=True):
        of_label = values[line.name]
        assert line.interval == pytest.approx(bootstrap(of_label, seed=SEED, rounds=ROUNDS))
        difference = of_label - values["base"]
        assert line.against.difference == pytest.approx(difference.mean())
        expected = bootstrap(difference, seed=SEED, rounds=ROUNDS)
        assert line.against.interval == pytest.approx(expected)
        assert (line.against.p, line.against.p_holm) == pytest.approx((raw, corrected))


def test_queries_are_paired_by_id_not_by_place(ledger, add):
    values = scores(0)
    names = [f"q{i}" for i in range(30)]
    add("base", values, queries=names)
    add("same", values[::-1], queries=names[::-1])
    against = compared(ledger, "base", "same")[0].lines[1].against
    assert (against.difference, against.p) == (0.0, 1.0)
    assert against.interval == pytest.approx((0.0, 0.0))


def test_a_dagger_marks_a_difference_that_is_sure_and_only_such_a_one(ledger, add):
    add("base", scores(0))
    add("better", scores(0) + 0.1 + 0.01 * scores(1))
    add("like", scores(0) + 0.1 * (scores(2) - 0.5))
    table = as_table(compared(ledger, "base", "better", "like")[0])
    assert table.rows[1][3].endswith(" †") and "†" not in "".join(table.rows[0] + table.rows[2])
    assert table.rows[0][3:] == ["", "", ""]


@pytest.mark.parametrize(
    ("p_holm", "interval", "sure"),
    [
        (0.049, (0.01, 0.2), True),
        (0.049, (-0.2, -0.01), True),
        (0.05, (0.01, 0.2), False),
        (0.01, (-0.01, 0.2), False),
        (0.01, (0.0, 0.2), False),
    ],
)
def test_a_difference_is_sure_by_its_corrected_p_and_by_its_interval(p_holm, interval, sure):
    assert Against(0.1, interval, p=0.001, p_holm=p_holm).significant is sure


def test_queries_that_share_documents_widen_the_interval_and_take_the_dagger(ledger, add):
    pairs = list(itertools.combinations(range(8), 2))
    relevant = {f"q{i}": [f"d{a}", f"d{b}"] for i, (a, b) in enumerate(pairs)}
    luck = np.array([2.0, 1.0, -0.5, -0.6, -0.4, -0.3, 0.5, 1.0])
    lead = np.array([luck[a] + luck[b] for a, b in pairs]) / 10
    for label, more in (("base", 0), ("b", lead)):
        add(label, np.full(len(pairs), 0.5) + more, relevant=relevant)
    (table,) = compared(ledger, "base", "b")
    against = table.lines[1].against
    groups = document_groups([relevant[f"q{i}"] for i in range(len(pairs))])
    assert against.interval == pytest.approx(
        bootstrap(lead, seed=SEED, rounds=ROUNDS, groups=groups)
    )
    assert against.p_holm < 0.05 and against.interval[0] < 0 and not against.significant
    assert any("100% of the queries share" in note for note in table.notes)


def test_up_to_a_third_of_queries_may_share_a_document(ledger, add):
    def shared(count):
        return {f"q{i}": ["common" if i < count else f"own {i}"] for i in range(30)}

    for label in ("a", "b"):
        add(label, scores(0), relevant=shared(10), task="few")
        add(label, scores(0), relevant=shared(11), task="many")
    few, many, _ = compared(ledger, "a", "b")
    assert not any("share a relevant" in note for note in few.notes)
    assert any("37% of the queries share a relevant" in note for note in many.notes)


def test_rows_from_before_relevant_documents_were_kept_are_read(ledger, add):
    import json

    for label in ("a", "b"):
        path = ledger.path.parent / add(label, scores(0))["per_query"]
        held = json.loads(path.read_text())
        del held["relevant"]
        path.write_text(json.dumps(held))
    (table,) = compared(ledger, "a", "b")
    assert any("relevant documents were not kept" in note for note in table.notes)


def test_several_seeds_of_a_label_are_one_line_with_seeds_resampled(ledger, add):
    add("base", scores(0))
    of_seeds = np.stack([scores(seed) for seed in (1, 2, 3)])
    add("b", scores(9), seed=2)  # measured again below
    for seed, values in enumerate(of_seeds, 1):
        add("b", values, seed=seed)
    (table,) = compared(ledger, "base", "b")
    line = table.lines[1]
    assert line.seeds == 3 and len(line.ids) == 3
    assert line.mean == pytest.approx(of_seeds.mean())
    assert line.interval == pytest.approx(bootstrap(of_seeds, seed=SEED, rounds=ROUNDS))
    expected = permutation(of_seeds.mean(axis=0), scores(0), seed=SEED, rounds=ROUNDS)
    assert line.against.p == pytest.approx(expected)
    assert "b: mean of 3 seeds; intervals resample seeds and queries" in table.notes


def test_the_average_weighs_tasks_alike_whatever_their_size(ledger, add):
    sizes = {"small": 5, "large": 40}
    values = {
        label: {task: scores(base + size, size) for task, size in sizes.items()}
        for label, base in (("base", 0), ("b", 100))
    }
    for label, by_task in values.items():
        for task, of_task in by_task.items():
            add(label, of_task, task=task)
    *_, average = compared(ledger, "base", "b")
    assert [average.title, average.queries] == ["average", 45]
    means = {label: np.mean([v.mean() for v in found.values()]) for label, found in values.items()}
    assert [line.mean for line in average.lines] == pytest.approx(list(means.values()))
    against = average.lines[1].against
    assert against.difference == pytest.approx(means["b"] - means["base"])
    lead = [values["b"][task] - values["base"][task] for task in sizes]
    drawn = [draws(v, seed=SEED, rounds=ROUNDS, task=i) for i, v in enumerate(lead)]
    assert against.interval == pytest.approx(
        tuple(np.quantile(np.mean(drawn, axis=0), [0.025, 0.975]))
    )
    weighted = np.concatenate([one / len(one) for one in lead])
    expected = permutation(weighted, np.zeros(45), seed=SEED, rounds=ROUNDS)
    assert against.p == pytest.approx(expected)


def test_a_group_of_tasks_counts_once_in_the_average(ledger, add):
    weights = {"cqa/gis": 0.25, "cqa/tex": 0.25, "fiqa": 0.5}
    values = {
        label: {task: scores(base + i) for i, task in enumerate(weights)}
        for label, base in (("base", 0), ("b", 100))
    }
    for label, by_task in values.items():
        for task, of_task in by_task.items():
            add(label, of_task, task=task)
    *_, average = compared(ledger, "base", "b")
    means = {
        label: sum(weights[task] * one.mean() for task, one in found.items())
        for label, found in values.items()
    }
    assert [line.mean for line in average.lines] == pytest.approx(list(means.values()))
    lead = {task: values["b"][task] - values["base"][task] for task in weights}
    drawn = [
        weights[task] * draws(v, seed=SEED, rounds=ROUNDS, task=i)
        for i, (task, v) in enumerate(lead.items())
    ]
    against = average.lines[1].against
    assert against.difference == pytest.approx(means["b"] - means["base"])
    assert against.interval == pytest.approx(
        tuple(np.quantile(np.sum(drawn, axis=0), [0.025, 0.975]))
    )
    weighted = np.concatenate([weights[task] * one / len(one) for task, one in lead.items()])
    expected = permutation(weighted, np.zeros(len(weighted)), seed=SEED, rounds=ROUNDS)
    assert against.p == pytest.approx(expected)
    assert "of the average cqa is one part: the mean of its 2 tasks" in average.notes


def test_a_task_that_some_rows_lack_is_left_out_and_named(ledger, add):
    for label, tasks in (("a", ("one", "two", "three")), ("b", ("two", "three"))):
        for task in tasks:
            add(label, scores(0), task=task)
    tables = compared(ledger, "a", "b")
    assert [table.title for table in tables] == ["two", "three", "average"]
    assert "left out, not measured for every row: one" in tables[-1].notes


def test_a_row_in_its_domain_is_marked_in_its_task_and_in_the_average(ledger, add):
    for task in ("one", "two"):
        add("a", scores(0), task=task)
        add("b", scores(1), task=task, in_domain=task == "two")
    one, two, average = map(as_table, compared(ledger, "a", "b"))
    assert [table.rows[1][0] for table in (one, two, average)] == ["b", "b *", "b *"]
    assert not any("own train split" in note for note in one.notes)
    assert all(any("own train split" in note for note in t.notes) for t in (two, average))
