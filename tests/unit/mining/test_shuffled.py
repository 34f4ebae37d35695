"""What a buffer of hidden states deals to its steps."""

from __future__ import annotations

import pytest
import torch

from trivet.core.ragged import Ragged
from trivet.core.records import Batch
from trivet.mining.shuffled import Shuffled

TEXTS = 4  # in a batch


class Rows(list[Batch]):
    """Batches of numbered texts, or those of them that a rank has."""

    def __init__(self, count: int, rank: int = 0, world: int = 1) -> None:
        rows = [list(range(TEXTS * i, TEXTS * (i + 1)))[rank::world] for i in range(count)]
        super().__init__(Batch("s", own, [], [[str(row)] for row in own], None, {}) for own in rows)


def states(batch: Batch) -> Ragged:
    """Of text n n + 3 tokens, (n, place) each."""
    return Ragged.of([
        torch.tensor([[row, place] for place in range(row + 3)], dtype=torch.float32)
        for row in batch.rows
    ])  # fmt: skip


def dealt(count: int, size: int, seed: int = 0, first: int = 0) -> list[Ragged]:
    shuffled = Shuffled(Rows(count), states, size, seed)
    assert len(shuffled) == count
    return [shuffled.deal(shuffled[step]) for step in range(first, count)]


@pytest.mark.parametrize(("count", "size"), [(6, 3), (7, 3), (5, 8), (4, 1)])
def test_each_token_of_a_buffer_falls_to_one_of_its_steps(count, size):
    steps = dealt(count, size)
    for start in range(0, count, size):
        own = steps[start : start + size]
        tokens = sorted(token for step in own for token in map(tuple, step.values.tolist()))
        texts = range(TEXTS * start, TEXTS * (start + len(own)))
        assert tokens == [(row, place) for row in texts for place in range(row + 3)]
        for text in range(TEXTS * start, TEXTS * (start + len(own))):
            shares = [int((step.values[:, 0] == text).sum()) for step in own]
            assert max(shares) - min(shares) <= 1


def test_rows_are_texts_and_a_text_is_in_several_steps():
    steps = dealt(6, 6)
    for step in steps:
        assert all(len(set(bag[:, 0].tolist())) == 1 for bag in step) and min(step.lengths) > 0
    assert all(len(step) > TEXTS for step in steps)


def test_a_step_is_dealt_the_same_whatever_was_read_before_it():
    whole, later = dealt(7, 3, seed=2), dealt(7, 3, seed=2, first=4)
    for one, other in zip(whole[4:], later, strict=True):
        assert torch.equal(one.values, other.values) and torch.equal(one.offsets, other.offsets)
    other = dealt(7, 3, seed=3)
    assert any(not torch.equal(a.values, b.values) for a, b in zip(whole, other, strict=True))


def test_two_ranks_are_dealt_what_one_is():
    ranks = [Shuffled(Rows(7, rank, 2), states, 3, 5) for rank in range(2)]
    for step, whole in enumerate(dealt(7, 3, seed=5)):
        parts = torch.cat([rank.deal(rank[step]).values for rank in ranks])
        assert sorted(parts.tolist()) == sorted(whole.values.tolist())


def test_of_pairs_both_texts_are_dealt():
    pairs = [Batch("s", [3, 9], ["a", "b"], [["c"], ["d"]], None, {}) for _ in range(2)]
    bags = Ragged.of([torch.full((4, 1), float(text)) for text in range(4)])
    shuffled = Shuffled(pairs, lambda _: bags, 2, 0)
    found = torch.cat([shuffled.deal(shuffled[step]).values for step in range(2)])
    assert found[:, 0].long().bincount().tolist() == [8] * 4


def test_a_row_at_fault_is_looked_for_in_the_whole_buffer():
    assert Shuffled(Rows(4), states, 2, 0)[3].ids == [f"s row {row}" for row in range(8, 16)]
