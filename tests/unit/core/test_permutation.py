import numpy as np
import pytest

from trivet.core.permutation import permute


def whole(size, seed=3):
    return permute(np.arange(size), size, seed)


def test_every_size_gives_each_place_once():
    for size in range(1, 301):
        assert sorted(whole(size).tolist()) == list(range(size)), size


@pytest.mark.parametrize("size", [2, 3, 5, 16, 17, 257, 1024])
def test_any_positions_asked_for_alone_agree_with_the_whole(size):
    order, draw = whole(size), np.random.default_rng(size)
    for count in (0, 1, size // 2, size):
        positions = draw.choice(size, count, replace=False)
        assert np.array_equal(permute(positions, size, 3), order[positions])


def test_another_seed_gives_another_order():
    orders = {tuple(whole(50, seed).tolist()) for seed in range(40)}
    assert len(orders) == 40


def test_the_same_seed_gives_the_same_order_and_leaves_the_positions_alone():
    positions = np.arange(100)
    assert np.array_equal(permute(positions, 100, 9), permute(positions, 100, 9))
    assert np.array_equal(positions, np.arange(100))


def test_small_sizes_reach_every_order():
    seen = {tuple(whole(3, seed).tolist()) for seed in range(400)}
    assert len(seen) == 6


def test_neighbours_are_not_neighbours_afterwards():
    order = whole(10_000)
    assert abs(float(np.corrcoef(np.arange(10_000), order)[0, 1])) < 0.05
    assert np.mean(np.abs(np.diff(order)) == 1) < 0.01


def test_a_place_far_into_a_huge_order_can_be_asked_for():
    size = 200_000_000
    positions = np.array([0, 1, size - 2, size - 1])
    found = permute(positions, size, 0)
    assert len(set(found.tolist())) == 4
    assert found.min() >= 0 and found.max() < size


@pytest.mark.parametrize("position", [-1, 10])
def test_a_position_outside_is_refused(position):
    with pytest.raises(ValueError, match="outside"):
        permute(np.array([0, position]), 10, 0)
