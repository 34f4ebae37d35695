"""Token pooling against PyLate's, and against merging the two nearest clusters by hand."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from trivet.core.errors import ConfigError
from trivet.core.ragged import Ragged
from trivet.retrieval.pooling import Pooling

LENGTHS = [0, 1, 2, 3, 5, 17, 40, 41]


@pytest.fixture
def bags():
    draw = torch.Generator().manual_seed(0)
    return Ragged.of([F.normalize(torch.randn(n, 12, generator=draw), dim=-1) for n in LENGTHS])


def by_hand(vectors, count, linkage):
    """Clusters by merging the two nearest ones again and again, as sets of tokens.

    Distances after a merge are those of Lance and Williams.
    """
    far = (1 - vectors @ vectors.T).double().clamp(min=0).numpy()
    held = {i: {i} for i in range(len(vectors))}
    apart = {(i, j): far[i, j] for i, j in itertools.combinations(range(len(vectors)), 2)}
    while len(held) > count:
        (i, j), near = min(apart.items(), key=lambda pair: pair[1])
        a, b = len(held[i]), len(held[j])
        for k in held.keys() - {i, j}:
            one, other = apart[min(i, k), max(i, k)], apart.pop((min(j, k), max(j, k)))
            c = len(held[k])
            if linkage == "average":
                new = (a * one + b * other) / (a + b)
            else:
                square = (a + c) * one**2 + (b + c) * other**2 - c * near**2
                new = np.sqrt(square / (a + b + c))
            apart[min(i, k), max(i, k)] = new
        held[i] |= held.pop(j)
        del apart[i, j]
    return held.values()


@pytest.mark.parametrize("linkage", ["ward", "average"])
@pytest.mark.parametrize("factor", [2, 3, 7])
def test_clusters_are_those_of_merging_the_nearest_two_by_hand(bags, linkage, factor):
    vectors = bags[6]
    found = Pooling(factor, protect=0, linkage=linkage).bag(vectors)
    want = [vectors[sorted(group)].mean(0) for group in by_hand(vectors, 40 // factor, linkage)]
    assert len(found) == len(want) == 40 // factor
    nearest = torch.cdist(found.double(), torch.stack(want).double())
    assert nearest.amin(1).max() < 1e-6 and nearest.amin(0).max() < 1e-6


@pytest.mark.parametrize("factor", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("protect", [0, 1, 4])
def test_it_pools_as_pylate_does(bags, factor, protect):
    models = pytest.importorskip("pylate.models")
    pool = models.ColBERT.pool_embeddings_hierarchical
    want = pool(None, list(bags), pool_factor=factor, protected_tokens=protect)
    found = Pooling(factor, protect=protect).bags(bags)
    assert found.lengths.tolist() == [len(one) for one in want]
    for one, other in zip(found, want, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


def test_a_factor_of_one_and_a_budget_that_is_met_change_nothing(bags):
    assert Pooling().bags(bags) is bags and not Pooling().active
    found = Pooling(budget=41).bags(bags)
    assert torch.equal(found.values, bags.values) and torch.equal(found.offsets, bags.offsets)


@pytest.mark.parametrize("factor", [1, 3])
@pytest.mark.parametrize("budget", [2, 3, 16, 40])
def test_no_document_has_more_vectors_than_its_budget_and_short_ones_stay(bags, budget, factor):
    found = Pooling(factor, budget=budget).bags(bags)
    want = [min(n, budget, 1 + max((n - 1) // factor, 1)) for n in LENGTHS]
    assert found.lengths.tolist() == want
    assert all(torch.equal(a[:1], b[:1]) for a, b in zip(found, bags, strict=True))


def test_the_mean_of_all_vectors_is_kept_whatever_the_clusters(bags):
    vectors = bags[7]
    pooling = Pooling(4, protect=0)
    sizes = torch.bincount(pooling._labels(vectors, 10)).float()
    mean = (pooling.bag(vectors) * sizes[:, None]).sum(0) / 41
    torch.testing.assert_close(mean, vectors.mean(0), atol=1e-6, rtol=0)


def test_a_document_pooled_alone_or_among_others_has_the_same_bits(bags):
    pooling = Pooling(3)
    whole = pooling.bags(bags)
    for i, vectors in enumerate(bags):
        assert torch.equal(whole[i], pooling.bag(vectors.clone()))
    turned = pooling.bags(bags.select(torch.arange(len(bags) - 1, -1, -1)))
    assert all(
        torch.equal(one, other) for one, other in zip(whole, list(turned)[::-1], strict=True)
    )


def test_tokens_that_are_equal_become_one_vector_and_none_is_nan():
    one, other = F.normalize(torch.randn(2, 12, generator=torch.Generator().manual_seed(1)), dim=-1)
    found = Pooling(2, protect=0).bag(torch.stack([one, other] * 8))
    assert len(found) <= 8
    assert torch.cdist(found, torch.stack([one, other])).amin(1).max() < 1e-6


@pytest.mark.parametrize(
    ("fields", "where"),
    [({"factor": 0}, "factor"), ({"protect": -1}, "protect"), ({"budget": 1}, "budget")],
)
def test_counts_that_leave_nothing_are_refused(fields, where):
    with pytest.raises(ConfigError) as found:
        Pooling(**fields)
    assert found.value.where == where
