"""The exponent of document frequencies that were made with a known one."""

import numpy as np
import pytest

from trivet.bench.zipf import fit_zipf, zipf_of
from trivet.core.errors import DataError


def entries(exponent, documents=3000, terms=1500, head=0.4, seed=0):
    """Documents that hold the term of each rank with a chance of head * rank ** -exponent."""
    generator = np.random.default_rng(seed)
    chances = np.minimum(head * np.arange(1, terms + 1) ** -exponent, 1)
    rows, found = np.nonzero(generator.random((documents, terms)) < chances)
    return generator.permutation(terms)[found], rows


@pytest.mark.parametrize("exponent", [0.6, 0.85, 1.1])
def test_the_exponent_of_exact_frequencies_is_found(exponent):
    frequencies = 5e4 * np.arange(1, 2001) ** -exponent
    found = fit_zipf(np.random.default_rng(0).permutation(frequencies), least=1)
    assert found.exponent == pytest.approx(exponent, abs=1e-9)
    assert found.r2 == pytest.approx(1, abs=1e-9)
    assert found.at(100) == pytest.approx(5e4 * 100**-exponent, rel=1e-9)
    assert (found.first, found.last) == (10, 2000)


@pytest.mark.parametrize("exponent", [0.6, 0.85, 1.1])
def test_the_exponent_of_drawn_documents_is_found_and_its_interval_is_narrow(exponent):
    terms, rows = entries(exponent)
    found = zipf_of(terms, rows, 3000)
    assert found.exponent == pytest.approx(exponent, abs=0.04)
    assert found.low < found.exponent < found.high and found.high - found.low < 0.25
    alone = fit_zipf(np.bincount(terms))
    assert (alone.exponent, alone.first, alone.last) == (found.exponent, found.first, found.last)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    held = 0
    for seed in range(60):
        terms, rows = entries(0.7, documents=2000, terms=80, head=0.9, seed=seed)
        found = zipf_of(terms, rows, 2000, 1, 80, rounds=100, seed=seed)
        held += found.low <= 0.7 <= found.high
    assert held / 60 >= 0.85


def test_the_range_decides_and_is_told():
    """A flat head and a noisy tail do not move the slope between them."""
    frequencies = 9000 * np.arange(1, 1001) ** -0.8
    bent = frequencies.copy()
    bent[:9] = frequencies[9]
    bent[800:] = 1
    assert fit_zipf(bent, 10, 800).exponent == pytest.approx(0.8, abs=1e-9)
    assert fit_zipf(bent, 1, 1000, least=1).exponent != pytest.approx(0.8, abs=0.02)
    assert fit_zipf(bent).last == 800  # the last one in ten documents


def test_what_stands_in_ten_documents_ends_the_range():
    frequencies = np.array([100] * 15 + [50] * 15 + [10] * 10 + [9] * 50)
    assert fit_zipf(frequencies).last == 40


@pytest.mark.parametrize("ranks", [(10, None), (1, 9), (3, 4), (0, 8)])
def test_a_range_that_holds_too_little_is_refused(ranks):
    with pytest.raises(DataError, match="cannot be fitted"):
        fit_zipf(np.array([30, 20, 15, 12, 11, 10, 10, 3]), *ranks)
