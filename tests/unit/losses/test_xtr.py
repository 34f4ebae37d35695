import pytest
import torch
from torch.nn.functional import normalize

from trivet.core.errors import ConfigError
from trivet.core.maxsim_gradient import maxsim_of_all
from trivet.core.ragged import Ragged
from trivet.losses.contrast import contrast
from trivet.losses.xtr import XTR, retrieved_maxsim

DRAW = torch.Generator().manual_seed(3)


def bags(*lengths):
    values = torch.randn(sum(lengths), 6, generator=DRAW, dtype=torch.float64)
    rows = normalize(values, dim=-1)
    return Ragged(rows.requires_grad_(), torch.tensor([0, *lengths]).cumsum(0))


QUERIES, DOCUMENTS = bags(3, 1, 5), bags(4, 1, 7, 2)


def by_hand(queries, documents, k):
    """The paper's formula, one query token at a time."""
    every = torch.cat(list(documents))
    owner = [number for number, bag in enumerate(documents) for _ in bag]
    rows = []
    for query in queries:
        sums, hits = [torch.zeros((), dtype=torch.float64)] * len(documents), [0] * len(documents)
        for token in query:
            nearest = sorted(range(len(every)), key=lambda j: -(token @ every[j]).item())[:k]
            for number in range(len(documents)):
                own = [token @ every[j] for j in nearest if owner[j] == number]
                if own:
                    sums[number] = sums[number] + torch.stack(own).max()
                    hits[number] += 1
        rows.append(torch.stack([s / max(1, n) for s, n in zip(sums, hits, strict=True)]))
    return torch.stack(rows)


def gradients(scores):
    loss = contrast(scores, torch.tensor([0, 2, 1]), temperature=0.3, excluded=None)
    return torch.autograd.grad(loss, (QUERIES.values, DOCUMENTS.values))


@pytest.mark.parametrize("budget", [1, 100, 1 << 22])
@pytest.mark.parametrize("k", [1, 2, 5, 14, 99])
def test_scores_and_gradients_are_those_of_the_formula(k, budget):
    found = retrieved_maxsim(QUERIES, DOCUMENTS, k, budget=budget)
    wanted = by_hand(QUERIES, DOCUMENTS, k)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    for one, other in zip(gradients(found), gradients(wanted), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_where_every_token_is_retrieved_it_is_the_mean_of_maxima():
    found = retrieved_maxsim(QUERIES, DOCUMENTS, 14)
    wanted = maxsim_of_all(QUERIES, DOCUMENTS) / QUERIES.lengths[:, None]
    torch.testing.assert_close(found, wanted)


def test_a_document_of_which_nothing_is_retrieved_scores_nothing_and_learns_nothing():
    found = retrieved_maxsim(QUERIES, DOCUMENTS, 1)
    lost = (found == 0).nonzero()
    assert len(lost)
    row, column = lost[0].tolist()
    for grad in torch.autograd.grad(found[row, column], (QUERIES.values, DOCUMENTS.values)):
        assert grad.abs().max() == 0


def test_tokens_as_near_as_the_last_one_are_retrieved_whatever_their_order():
    twins = Ragged.of([bag for bag in DOCUMENTS for _ in range(2)])
    found = retrieved_maxsim(QUERIES, twins, 3)
    assert torch.equal(found[:, 0::2], found[:, 1::2])
    order = torch.tensor([5, 2, 7, 0, 3, 6, 1, 4])
    shuffled = retrieved_maxsim(QUERIES, twins.select(order), 3)
    torch.testing.assert_close(shuffled, found[:, order])


@pytest.mark.parametrize(("fields", "words"), [({"k": 0}, "k"), ({"k": 1, "temperature": 0}, "t")])
def test_what_retrieves_nothing_or_does_not_order_is_refused(fields, words):
    with pytest.raises(ConfigError, match=words):
        XTR(**fields)
