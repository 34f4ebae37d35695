"""The area under the ROC curve against a count of pairs, and how often its interval is right."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from trivet.bench.auc import auc
from trivet.core.errors import DataError


def test_it_is_the_share_of_pairs_in_order_and_a_tie_counts_half():
    generator = np.random.default_rng(0)
    firsts, others = generator.integers(0, 6, 23), generator.integers(0, 5, 31)
    pairs = [(a > b) + 0.5 * (a == b) for a in firsts for b in others]
    found = auc(firsts, others)
    assert found.value == pytest.approx(sum(pairs) / len(pairs), abs=1e-12)
    truth = [1] * 23 + [0] * 31
    assert found.value == pytest.approx(roc_auc_score(truth, [*firsts, *others]), abs=1e-12)
    assert found.low < found.value < found.high


@pytest.mark.parametrize(("shift", "wanted"), [(9.0, 1.0), (-9.0, 0.0)])
def test_what_is_told_apart_always_is_one_and_the_other_way_round_zero(shift, wanted):
    found = auc(np.arange(8) + shift, np.arange(8) / 10)
    assert (found.value, found.low, found.high) == (wanted, wanted, wanted)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    truth = norm.cdf(1 / np.sqrt(2))  # two normal distributions, one apart
    held = 0
    for seed in range(100):
        generator = np.random.default_rng(seed)
        found = auc(generator.normal(1, 1, 50), generator.normal(0, 1, 50), seed=seed, rounds=200)
        held += found.low <= truth <= found.high
    assert 0.89 <= held / 100 <= 0.99


def test_one_kind_alone_cannot_be_told():
    with pytest.raises(DataError, match="both kinds"):
        auc(np.ones(3), np.array([]))
