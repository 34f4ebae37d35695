import math

import pytest
import torch

from trivet.losses import infonce as module
from trivet.losses.infonce import infonce


@pytest.fixture(params=[1, 4, 1 << 22], autouse=True)
def block(request, monkeypatch):
    """A query at a time, a few, or all at once."""
    monkeypatch.setattr(module, "ROWS", request.param)


def places(mask):
    return mask.nonzero(as_tuple=True)


def drawn(batch, extra, dim=5):
    draw = torch.Generator().manual_seed(batch)
    vectors = [
        torch.randn(rows, dim, generator=draw, dtype=torch.float64)
        for rows in (batch, batch + extra)
    ]
    return [v / v.norm(dim=1, keepdim=True) for v in vectors]


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
        queries, documents, positives=positives, temperature=temperature, excluded=places(excluded)
    )
    assert mine.item() == pytest.approx(
        brute(queries, documents, positives, temperature, excluded), rel=1e-9
    )


def test_the_gradient_equals_finite_differences():
    queries, documents = (x.requires_grad_() for x in drawn(3, 1))
    positives = torch.tensor([2, 0, 1])
    excluded = torch.zeros(3, 4, dtype=torch.bool)
    excluded[0, 3] = True
    assert torch.autograd.gradcheck(
        lambda q, d: infonce(q, d, positives=positives, temperature=0.5, excluded=places(excluded)),
        (queries, documents),
    )


def test_an_excluded_document_gets_no_gradient_from_that_query():
    queries, documents = drawn(1, 2)
    documents.requires_grad_()
    excluded = torch.tensor([[False, True, False]])
    infonce(
        queries, documents, positives=torch.tensor([0]), temperature=0.5, excluded=places(excluded)
    ).backward()
    assert documents.grad is not None
    assert [bool(row.any()) for row in documents.grad] == [True, False, True]


def test_an_excluded_positive_still_counts():
    queries, documents = drawn(4, 0)
    everything = places(torch.ones(4, 4, dtype=torch.bool))
    positives = torch.arange(4)
    loss = infonce(queries, documents, positives=positives, temperature=0.1, excluded=everything)
    assert loss.item() == pytest.approx(0.0, abs=1e-12)


def test_nothing_excluded_is_the_same_as_an_empty_mask():
    queries, documents = drawn(4, 2)
    nothing = torch.zeros(4, 6, dtype=torch.bool)
    positives = torch.arange(4)
    with_mask, without = (
        infonce(queries, documents, positives=positives, temperature=0.1, excluded=mask)
        for mask in (places(nothing), None)
    )
    assert torch.equal(with_mask, without)


@pytest.mark.parametrize(
    "given, computed",
    [
        (torch.float64, torch.float64),
        (torch.float32, torch.float32),
        (torch.bfloat16, torch.float32),
    ],
)
def test_the_loss_is_computed_in_fp32_or_better(given, computed):
    queries, documents = (x.to(given) for x in drawn(8, 0))
    positives = torch.arange(8)
    loss = infonce(queries, documents, positives=positives, temperature=0.02)
    want = infonce(queries.double(), documents.double(), positives=positives, temperature=0.02)
    assert loss.dtype == computed
    assert loss.item() == pytest.approx(want.item(), rel=1e-5)


def test_the_gradient_equals_that_of_plain_cross_entropy():
    queries, documents = (x.requires_grad_() for x in drawn(32, 40))
    positives = torch.randperm(72, generator=torch.Generator().manual_seed(1))[:32]
    excluded = torch.rand(32, 72, generator=torch.Generator().manual_seed(2)) < 0.2
    excluded[torch.arange(32), positives] = False
    scores = (queries @ documents.T / 0.05).masked_fill(excluded, float("-inf"))
    wanted = torch.autograd.grad(
        torch.nn.functional.cross_entropy(scores, positives), (queries, documents)
    )
    loss = infonce(
        queries, documents, positives=positives, temperature=0.05, excluded=places(excluded)
    )
    for found, want in zip(torch.autograd.grad(loss, (queries, documents)), wanted, strict=True):
        torch.testing.assert_close(found, want, rtol=0, atol=1e-10)
