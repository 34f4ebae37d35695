"""Training's MaxSim against two loops and autograd."""

import pytest
import torch

from trivet.core.maxsim_gradient import maxsim_of_all, maxsim_of_own
from trivet.core.ragged import Ragged


def bags(lengths, seed, dim=5):
    draw = torch.Generator().manual_seed(seed)
    rows = [torch.randn(length, dim, generator=draw) for length in lengths]
    made = Ragged.of(rows)
    return Ragged(made.values.requires_grad_(), made.offsets)


def by_hand(queries, documents, pairs):
    return torch.stack([(queries[i] @ documents[j].T).amax(1).sum() for i, j in pairs])


QUERIES, DOCUMENTS = [3, 1, 4], [7, 2, 2, 9, 1, 5]


@pytest.mark.parametrize("budget", [1, 60, 10**6])
def test_own_and_all_equal_two_loops_forward_and_backward(budget):
    for score, pairs, shape in (
        (maxsim_of_own, [(i, 2 * i + j) for i in range(3) for j in range(2)], (3, 2)),
        (maxsim_of_all, [(i, j) for i in range(3) for j in range(6)], (3, 6)),
    ):
        queries, documents = bags(QUERIES, 0), bags(DOCUMENTS, 1)
        mine = score(queries, documents, budget=budget)
        theirs = by_hand(queries, documents, pairs).view(shape)
        torch.testing.assert_close(mine, theirs)
        weights = torch.randn(shape, generator=torch.Generator().manual_seed(2))
        for ours, wanted in zip(
            torch.autograd.grad((mine * weights).sum(), [queries.values, documents.values]),
            torch.autograd.grad((theirs * weights).sum(), [queries.values, documents.values]),
            strict=True,
        ):
            torch.testing.assert_close(ours, wanted)


def test_what_is_kept_grows_with_tokens_and_not_with_pairs_of_tokens():
    queries, documents = bags([8] * 4, 0), bags([300] * 32, 1)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.append(t.numel()) or t, lambda t: t
    ):
        maxsim_of_own(queries, documents)
    tokens = queries.values.numel() + documents.values.numel()
    assert sum(kept) == tokens + 4 * 8 * 8  # and a winner for each query token and document


def test_rows_without_tokens_and_uneven_counts_are_refused():
    with pytest.raises(ValueError, match="has no token"):
        maxsim_of_own(bags([2], 0), bags([3, 0], 1))
    with pytest.raises(ValueError, match="3 documents are not as many for each of 2"):
        maxsim_of_own(bags([2, 2], 0), bags([3, 1, 1], 1))
