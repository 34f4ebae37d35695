import pytest
import torch

from trivet.core.ragged import Ragged, concatenate

LENGTHS = [3, 0, 5, 1, 0, 2]


def bags(width=4, lengths=LENGTHS, seed=0):
    draw = torch.Generator().manual_seed(seed)
    shape = (width,) if width else ()
    return [torch.randn(n, *shape, generator=draw) for n in lengths]


def same(rows, wanted):
    assert len(rows) == len(wanted)
    for row, other in zip(rows, wanted, strict=True):
        assert torch.equal(row, other)


@pytest.mark.parametrize("width", [0, 4])
def test_rows_come_back_as_they_went_in(width):
    rows = bags(width)
    ragged = Ragged.of(rows)
    same(list(ragged), rows)
    same([ragged[i] for i in range(len(ragged))], rows)
    assert ragged.lengths.tolist() == LENGTHS


def test_lists_of_token_ids_are_rows_too():
    ragged = Ragged.of([[7, 8], [], [9]])
    assert [row.tolist() for row in ragged] == [[7, 8], [], [9]]
    assert ragged.values.dtype == torch.int64


def test_rows_are_counted_from_the_end_too_and_none_lies_beyond():
    rows = bags()
    ragged = Ragged.of(rows)
    assert torch.equal(ragged[-1], rows[-1])
    for row in (len(rows), -len(rows) - 1):
        with pytest.raises(IndexError):
            ragged[row]


def test_no_rows_at_all_is_a_ragged_of_none():
    ragged = Ragged.of([])
    assert (len(ragged), list(ragged)) == (0, [])
    assert ragged.pad()[0].shape == (0, 0)


@pytest.mark.parametrize("order", [[2, 0], [5, 4, 3, 2, 1, 0], [1], [0, 0, 2], [1, 4], []])
def test_select_gives_the_named_rows_in_the_order_named(order):
    rows = bags()
    chosen = Ragged.of(rows).select(torch.tensor(order, dtype=torch.int64))
    same(list(chosen), [rows[i] for i in order])
    assert chosen.values.shape[1:] == (4,)


@pytest.mark.parametrize("width", [0, 4])
def test_pad_fills_only_behind_the_rows_and_the_mask_says_where(width):
    rows = bags(width)
    padded, mask = Ragged.of(rows).pad(-7.0)
    assert padded.shape[:2] == mask.shape == (len(rows), max(LENGTHS))
    for i, row in enumerate(rows):
        assert mask[i].tolist() == [j < len(row) for j in range(max(LENGTHS))]
        assert torch.equal(padded[i, : len(row)], row)
        assert bool((padded[i, len(row) :] == -7.0).all())


def test_gradients_reach_the_values_through_pad_and_select():
    values = torch.ones(6, 2, requires_grad=True)
    ragged = Ragged(values, torch.tensor([0, 1, 4, 6]))
    ragged.select(torch.tensor([1])).pad()[0].sum().backward()
    assert values.grad is not None
    assert values.grad.sum(1).tolist() == [0, 2, 2, 2, 0, 0]


@pytest.mark.parametrize(
    "offsets",
    [[1, 6], [0, 5], [0, 7], [0, 4, 3, 6], [-1, 6], [], [[0, 6]]],
)
def test_offsets_that_do_not_cut_the_values_are_refused(offsets):
    with pytest.raises(ValueError, match="offsets"):
        Ragged(torch.zeros(6, 2), torch.tensor(offsets, dtype=torch.int64))


def test_concatenate_lays_all_rows_of_all_parts_in_order():
    first, second, none = bags(seed=1), bags(lengths=[2, 0], seed=2), bags(lengths=[])
    parts = [Ragged.of(first), Ragged(torch.empty(0, 4), torch.tensor([0])), Ragged.of(second)]
    same(list(concatenate(parts)), [*first, *none, *second])
