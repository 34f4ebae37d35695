import pytest
import torch

from trivet.core.buckets import SLACK, buckets, padding_share


def drawn(count, longest=300, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(1, longest + 1, (count,), generator=draw)


@pytest.mark.parametrize("budget", [1, 64, 300, 8192, 10**9])
@pytest.mark.parametrize("count", [0, 1, 257])
def test_every_row_stands_in_exactly_one_group(count, budget):
    groups = buckets(drawn(count), budget)
    assert sorted(row for group in groups for row in group.tolist()) == list(range(count))
    assert all(len(group) for group in groups)


@pytest.mark.parametrize("budget", [1, 64, 300, 4096])
def test_a_group_stays_within_the_budget_unless_one_row_alone_breaks_it(budget):
    lengths = drawn(500)
    for group in buckets(lengths, budget):
        assert len(group) == 1 or len(group) * int(lengths[group].max()) <= budget


def test_no_group_could_have_held_the_next_longest_row():
    lengths, budget = drawn(500), 4096
    groups = buckets(lengths, budget)
    for group, after in zip(groups, groups[1:], strict=False):
        longest, following = int(lengths[group].max()), int(lengths[after].max())
        assert (len(group) + 1) * longest > budget or following < (1 - SLACK) * longest


def test_the_largest_rows_come_first():
    lengths = drawn(200)
    flat = torch.cat([lengths[group] for group in buckets(lengths, 2048)])
    assert bool((flat.diff() <= 0).all())


def skewed(count, seed):
    draw = torch.Generator().manual_seed(seed)
    return (torch.randn(count, generator=draw) * 0.6 + 4.5).exp().long().clamp(1, 512)


@pytest.mark.parametrize("make", [lambda s: drawn(128, 512, s), lambda s: drawn(1024, 512, s)])
@pytest.mark.parametrize("budget", [2048, 8192, 10**6])
@pytest.mark.parametrize("seed", range(5))
def test_under_a_tenth_is_padding_on_mixed_lengths(make, budget, seed):
    for lengths in (make(seed), skewed(128, seed), skewed(1024, seed)):
        assert padding_share(lengths, buckets(lengths, budget)) < 0.1


@pytest.mark.parametrize("count", [16, 256, 1024])
def test_sorting_pads_less_than_the_order_given(count):
    lengths = skewed(count, seed=0)
    groups = buckets(lengths, 8192)
    as_given = list(torch.arange(count).split([len(group) for group in groups]))
    assert padding_share(lengths, groups) <= padding_share(lengths, as_given)


def test_the_padding_share_counts_what_padding_adds():
    lengths = torch.tensor([4, 1, 2, 2])
    groups = [torch.tensor([0, 1]), torch.tensor([2, 3])]
    assert padding_share(lengths, groups) == pytest.approx(1 - 9 / 12)
    assert padding_share(lengths[:0], []) == 0.0


def test_equal_input_gives_equal_groups_and_ties_keep_their_order():
    lengths = torch.tensor([5, 9, 5, 5, 9])
    first, second = buckets(lengths, 18), buckets(lengths.clone(), 18)
    assert [g.tolist() for g in first] == [g.tolist() for g in second] == [[1, 4], [0, 2, 3]]


def test_empty_rows_have_a_place_too():
    groups = buckets(torch.tensor([0, 3, 0]), 4)
    assert sorted(row for group in groups for row in group.tolist()) == [0, 1, 2]


@pytest.mark.parametrize("budget", [0, -1])
def test_a_budget_that_holds_nothing_is_refused(budget):
    with pytest.raises(ValueError, match="budget"):
        buckets(torch.tensor([1]), budget)
