import math

import pytest
import torch

from trivet.losses.false_negatives import false_negatives
from trivet.losses.infonce import infonce


def drawn(batch, extra, dim=5):
    draw = torch.Generator().manual_seed(batch)
    queries = torch.randn(batch, dim, generator=draw, dtype=torch.float64)
    documents = torch.randn(batch + extra, dim, generator=draw, dtype=torch.float64)
    return queries / queries.norm(dim=1, keepdim=True), documents / documents.norm(
        dim=1, keepdim=True
    )


def brute(queries, documents, positives, temperature, excluded):
    total = 0.0
    for i, query in enumerate(queries):
        scores = [math.exp(float(query @ d) / temperature) for d in documents]
        own = int(positives[i])
        kept = [s for j, s in enumerate(scores) if j == own or not bool(excluded[i, j])]
        total -= math.log(scores[own] / sum(kept))
    return total / len(queries)


@pytest.mark.parametrize("extra", [0, 3])
@pytest.mark.parametrize("temperature", [0.02, 1.0])
def test_the_loss_equals_brute_force(extra, temperature):
    queries, documents = drawn(6, extra)
    positives = torch.randperm(6, generator=torch.Generator().manual_seed(1))
    excluded = torch.rand(6, 6 + extra, generator=torch.Generator().manual_seed(2)) < 0.3
    mine = infonce(
        queries, documents, positives=positives, temperature=temperature, excluded=excluded
    )
    assert mine.item() == pytest.approx(
        brute(queries, documents, positives, temperature, excluded), rel=1e-9
    )


def test_the_gradient_equals_finite_differences():
    queries, documents = drawn(3, 1)
    queries.requires_grad_()
    documents.requires_grad_()
    positives = torch.arange(3)
    assert torch.autograd.gradcheck(
        lambda q, d: infonce(q, d, positives=positives, temperature=0.5), (queries, documents)
    )


def test_an_excluded_positive_still_counts():
    queries, documents = drawn(4, 0)
    everything = torch.ones(4, 4, dtype=torch.bool)
    positives = torch.arange(4)
    loss = infonce(queries, documents, positives=positives, temperature=0.1, excluded=everything)
    assert loss.item() == pytest.approx(0.0, abs=1e-12)


def test_known_answers_are_found_by_brute_force():
    queries, documents = torch.tensor([1, 2, 1, 3]), torch.tensor([7, 8, 9, 8, 7])
    positives = torch.tensor([0, 1, 2, 3])
    known = {(int(q), int(documents[p])) for q, p in zip(queries, positives, strict=True)}
    expected = [[(int(q), int(d)) in known for d in documents] for q in queries]
    assert false_negatives(queries, documents, positives).tolist() == expected
