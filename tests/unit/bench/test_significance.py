"""Each test and interval against brute force, and against scipy where it does the same."""

import itertools
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from trivet.bench import significance
from trivet.bench.significance import (
    bootstrap,
    document_groups,
    draws,
    draws_together,
    holm,
    percentiles,
    permutation,
    share_of_sharing,
)


def scores(seed, *shape):
    return np.random.default_rng(seed).random(shape)


def by_hand(a, b):
    """Every sign pattern, one at a time."""
    d = a - b
    sums = [abs((np.array(s) * d).sum()) for s in itertools.product((1, -1), repeat=len(d))]
    return np.mean([s >= abs(d.sum()) - 1e-12 for s in sums])


@pytest.mark.parametrize("n", [1, 2, 5, 9])
@pytest.mark.parametrize("seed", range(3))
def test_few_queries_are_tested_with_every_sign_pattern(n, seed):
    a, b = scores(seed, n), scores(seed + 100, n)
    assert permutation(a, b) == pytest.approx(by_hand(a, b), abs=1e-12)


def test_queries_with_equal_scores_change_nothing():
    a, b = scores(0, 8), scores(1, 8)
    same = np.full(50, 0.25)
    assert permutation(np.r_[a, same], np.r_[b, same]) == permutation(a, b)
    assert permutation(same, same) == 1.0


def test_ties_between_sums_count_as_reached_in_whatever_order_they_are_added():
    a = np.array([0.1, 0.2, 0.3, 0.6, 0.7])
    b = np.array([0.2, 0.1, 0.6, 0.3, 0.0])
    for order in itertools.permutations(range(5)):
        assert permutation(a[list(order)], b[list(order)]) == by_hand(a, b)


@pytest.mark.parametrize("n", [4, 10])
def test_the_exact_test_is_that_of_scipy(n):
    a, b = scores(2, n), scores(3, n)
    mean = lambda x, y, axis: (x - y).mean(axis=axis)  # noqa: E731
    theirs = stats.permutation_test(
        (a, b), mean, permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    assert permutation(a, b) == pytest.approx(theirs.pvalue, abs=1e-12)


def test_drawn_signs_come_near_the_exact_test(monkeypatch):
    a, b = scores(4, 14) + 0.15, scores(5, 14)
    exact = permutation(a, b)
    monkeypatch.setattr(significance, "_EXACT", 0)
    drawn = permutation(a, b, rounds=40_000)
    assert 0.01 < exact < 0.9
    assert drawn == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 40_000))


def test_a_drawn_p_is_never_zero_and_repeats_with_its_seed(monkeypatch):
    a, b = scores(6, 40) + 5, scores(7, 40)
    assert permutation(a, b, rounds=999) == 1 / 1000
    close = scores(6, 40)
    assert permutation(close, b, seed=3) == permutation(close, b, seed=3)
    assert permutation(close, b, seed=3) == permutation(b, close, seed=3)
    assert permutation(close, b, seed=3) != permutation(close, b, seed=4)
    whole = permutation(close, b, seed=3)
    monkeypatch.setattr(significance, "_CELLS", 400)
    assert permutation(close, b, seed=3) == pytest.approx(whole, abs=0.03)


def test_without_a_difference_p_is_below_five_percent_in_five_percent_of_trials():
    generator = np.random.default_rng(8)
    trials = [
        permutation(generator.normal(size=30), generator.normal(size=30), rounds=400)
        for _ in range(800)
    ]
    assert np.mean(np.array(trials) <= 0.05) == pytest.approx(0.05, abs=0.025)


def holm_by_definition(p):
    """The smallest level at which the step-down procedure rejects each hypothesis."""

    def rejected(level):
        out = set()
        for rank, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
            if p[i] > level / (len(p) - rank) + 1e-15:
                break
            out.add(i)
        return out

    levels = sorted({min(1.0, p_i * m) for p_i in p for m in range(1, len(p) + 1)} | {1.0})
    return [next((a for a in levels if i in rejected(a)), 1.0) for i in range(len(p))]


@pytest.mark.parametrize("seed", range(20))
def test_holm_is_the_level_at_which_each_step_rejects(seed):
    p = (scores(seed, 5) ** 3).tolist()
    assert holm(p) == pytest.approx(holm_by_definition(p))


def test_holm_keeps_the_order_caps_at_one_and_leaves_one_test_alone():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert (holm([0.2]), holm([])) == ([0.2], [])


def test_the_plain_interval_is_that_of_scipy():
    values = scores(9, 37)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=3000, method="percentile", rng=np.random.default_rng(5)
    ).confidence_interval
    assert bootstrap(values, seed=5, rounds=3000) == pytest.approx(tuple(theirs), abs=1e-12)


def test_drawn_means_are_spread_as_all_resamples_are():
    values = np.array([0.0, 1.0, 5.0])
    every = Counter(float(np.mean(pick)) for pick in itertools.product(values, repeat=3))
    drawn = draws(values, rounds=30_000)
    for mean, times in every.items():
        assert np.isclose(drawn, mean).mean() == pytest.approx(times / 27, abs=0.012)


def test_drawn_means_of_seeds_are_spread_as_all_pairs_of_resamples_are():
    values = np.array([[0.0, 1.0, 7.0], [20.0, 50.0, 130.0]])
    every = [
        values[np.ix_(seeds, queries)].mean()
        for seeds in itertools.product(range(2), repeat=2)
        for queries in itertools.product(range(3), repeat=3)
    ]
    drawn = draws(values, rounds=40_000)
    for mean, times in Counter(np.round(every, 9)).items():
        assert np.isclose(drawn, mean).mean() == pytest.approx(times / len(every), abs=0.01)


def test_drawn_means_of_documents_are_spread_as_all_resamples_are():
    values = np.array([0.0, 1.0, 5.0])
    groups = [["a", "b"], ["b", "c"], ["c"]]
    every = []
    for pick in itertools.product("abc", repeat=3):
        weights = np.array([np.prod([pick.count(d) for d in names]) for names in groups])
        if weights.any():
            every.append((weights * values).sum() / weights.sum())
    drawn = draws(values, groups=groups, rounds=40_000)
    for mean, times in Counter(np.round(every, 9)).items():
        assert np.isclose(drawn, mean).mean() == pytest.approx(times / len(every), abs=0.01)


def test_one_document_a_query_is_the_cluster_bootstrap():
    """Two queries of one document count together: as if there were half as many."""
    values = np.repeat(scores(10, 30), 2)
    groups = [[str(i // 2)] for i in range(60)]
    assert bootstrap(values, groups=groups) == pytest.approx(bootstrap(values[::2]), abs=1e-12)


@pytest.mark.parametrize("shape", [(25,), (3, 25)])
@pytest.mark.parametrize("grouped", [False, True])
def test_the_draws_of_a_difference_are_the_difference_of_the_draws(shape, grouped):
    a, b = scores(11, *shape), scores(12, *shape)
    groups = [[str(i % 7), str(i % 5)] for i in range(25)] if grouped else None
    apart = draws(a, groups=groups) - draws(b, groups=groups)
    assert np.allclose(draws(a - b, groups=groups), apart, atol=1e-12)


def test_draws_repeat_with_their_seed_whatever_the_memory(monkeypatch):
    values, groups = scores(13, 40), [[str(i % 7), str(i % 9)] for i in range(40)]
    whole = [draws(values, seed=2, rounds=500), draws(values, seed=2, rounds=500, groups=groups)]
    monkeypatch.setattr(significance, "_CELLS", 1000)
    parts = [draws(values, seed=2, rounds=500), draws(values, seed=2, rounds=500, groups=groups)]
    assert np.allclose(whole, parts, atol=1e-12)
    assert not np.allclose(whole[0], draws(values, seed=3, rounds=500))


def test_tasks_draw_their_queries_apart_and_their_seeds_together():
    queries = scores(14, 30)
    assert abs(np.corrcoef(draws(queries), draws(queries, task=1))[0, 1]) < 0.05
    seeds = np.repeat(scores(15, 4)[:, None], 30, axis=1)
    assert np.allclose(draws(seeds), draws(seeds, task=1))


def coverage(sample, trials, *intervals):
    """How often each interval holds 0, the true mean of every sample."""
    hits = np.zeros(len(intervals))
    for trial in range(trials):
        values = sample(np.random.default_rng(trial))
        for i, interval in enumerate(intervals):
            low, high = interval(values)
            hits[i] += low <= 0 <= high
    return hits / trials


def test_queries_that_share_documents_need_documents_resampled():
    pairs = np.array(list(itertools.combinations(range(30), 2)))
    groups = [[str(i), str(j)] for i, j in pairs]

    def sample(generator):
        luck = generator.normal(size=30)  # of a document, in every query that asks for it
        return luck[pairs].sum(axis=1) + generator.normal(size=len(pairs))

    naive, shared = coverage(
        sample,
        200,
        lambda values: bootstrap(values, rounds=300),
        lambda values: bootstrap(values, rounds=300, groups=groups),
    )
    assert naive < 0.6
    assert 0.9 <= shared <= 0.99


def test_seeds_that_share_their_queries_need_both_resampled():
    def sample(generator):
        seed, query = generator.normal(size=(12, 1)), generator.normal(size=(1, 40))
        return 0.5 * seed + query + generator.normal(size=(12, 40))

    naive, seeds_only, both = coverage(
        sample,
        200,
        lambda values: bootstrap(values.ravel(), rounds=300),
        lambda values: bootstrap(values.mean(axis=1), rounds=300),
        lambda values: bootstrap(values, rounds=300),
    )
    assert naive < 0.7 and seeds_only < 0.85
    assert both >= 0.9


def test_the_share_of_queries_with_a_common_document_is_counted_by_hand():
    assert share_of_sharing([["a"], ["a", "b"], ["c"], ["d", "d"]]) == 0.5
    assert share_of_sharing([["a"], ["b"]]) == 0.0


def test_a_query_keeps_the_two_documents_that_most_others_share_else_itself():
    relevant = [["x", "b", "a", "c"], ["a"], ["a", "b"], ["c", "b"], ["alone", "too"]]
    groups = document_groups(relevant)
    assert groups[0] == ["document a", "document b"]
    assert groups[3] == ["document b", "document c"]
    assert groups[4] == ["query 4"]


def test_the_level_sets_how_much_of_what_was_drawn_is_left_out():
    assert percentiles(np.arange(101.0), 0.9) == pytest.approx((5.0, 95.0))
    wide, narrow = (bootstrap(scores(16, 20), level=level) for level in (0.99, 0.8))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_scores_drawn_together_are_those_drawn_alone():
    matrices = [scores(1, 40), scores(2, 3, 40), scores(3, 3, 40)]
    groups = [[f"d{i // 2}"] for i in range(40)]
    for given in ({}, {"groups": groups}, {"task": 2}):
        together = draws_together(matrices, seed=4, rounds=200, **given)
        for one, drawn in zip(matrices, together, strict=True):
            np.testing.assert_allclose(drawn, draws(one, seed=4, rounds=200, **given), atol=1e-12)


def test_looked_up_sums_of_signs_are_those_of_a_product():
    for count in (17, 24, 61):
        differences = scores(count, count) - 0.5
        packed = np.random.default_rng(count).integers(256, size=(50, -(-count // 8)), dtype="u1")
        signs = 2.0 * np.unpackbits(packed, axis=1, count=count) - 1
        expected = np.abs(signs @ differences)
        np.testing.assert_allclose(
            significance._distances_packed(packed, differences), expected, atol=1e-12
        )
