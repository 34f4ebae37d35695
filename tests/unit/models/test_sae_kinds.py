"""BatchTopK, JumpReLU, and what is minimised, against the formulas with the whole dictionary."""

from __future__ import annotations

import pytest
import torch

from trivet.core.ragged import Ragged
from trivet.models import products
from trivet.models.sae_batch_topk import BatchTopK
from trivet.models.sae_jump_relu import JumpReLU
from trivet.models.sae_kinds import empty
from trivet.models.sae_training import Rebuilt


@pytest.fixture(autouse=True)
def _few_at_once(monkeypatch):
    monkeypatch.setitem(products._HELD, "cpu", 5 * 64)


def made(kind, k=4, seed=0):
    sae = empty({"kind": kind, "dim": 8, "latents": 64, "k": k}).double()
    sae.draw(seed)
    torch.manual_seed(seed)
    sae.encoder.data += torch.randn_like(sae.encoder) * 0.1
    sae.center.data = torch.randn(8, dtype=torch.float64) * 0.1
    return sae


def vectors(count=13):
    return torch.randn(count, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def whole(sae, active):
    return torch.zeros(len(active.latents), 64, dtype=torch.float64).scatter_add(
        1, active.latents, active.weights
    )


def dense_products(sae, x):
    return ((x - sae.center) @ sae.encoder.T).relu()


def test_a_batch_keeps_its_largest_products_wherever_they_are():
    sae, x = made("batch_topk").train(), vectors()
    values = dense_products(sae, x)
    least = values.flatten().topk(4 * 13).values[-1]
    wanted = torch.where(values >= least, values, 0)
    active = sae.encode(x)
    torch.testing.assert_close(whole(sae, active), wanted)
    assert (active.weights > 0).sum() == 4 * 13 and len({*(wanted > 0).sum(1).tolist()}) > 1
    pairs = zip(
        torch.autograd.grad(sae.decode(active).square().mean(), list(sae.parameters())),
        torch.autograd.grad((wanted @ sae.decoder + sae.center).square().mean(),
                            list(sae.parameters())),
        strict=True,
    )  # fmt: skip
    for one, other in pairs:
        torch.testing.assert_close(one, other)


def test_afterwards_a_token_does_not_depend_on_its_neighbours():
    sae, x = made("batch_topk").train(), vectors()
    least = sae.encode(x).weights.detach()
    assert float(sae.threshold) == pytest.approx(float(least[least > 0].min()))
    before = float(sae.threshold)
    with torch.no_grad():
        sae.encode(2 * x)
    assert float(sae.threshold) == before  # a pass without gradients teaches nothing
    sae.seen.fill_(1e6)
    sae.encode(2 * x)
    assert before < float(sae.threshold) < 1.1 * before
    sae.eval()
    together = whole(sae, sae.encode(x))
    alone = torch.cat([whole(sae, sae.encode(row[None])) for row in x])
    torch.testing.assert_close(together, alone)
    values = dense_products(sae, x)
    torch.testing.assert_close(together, torch.where(values > sae.threshold, values, 0))


def test_a_product_below_its_latents_threshold_counts_nothing():
    sae, x = made("jump_relu"), vectors()
    sae.settle(x)
    assert float((dense_products(sae, x) > sae.log_threshold.exp()).sum(1).double().mean()) >= 8
    sae.log_threshold.data += torch.randn(64, dtype=torch.float64) * 0.2
    values = dense_products(sae, x)
    wanted = torch.where(values > sae.log_threshold.exp(), values, 0)
    for training in (True, False):
        sae.train(training)
        torch.testing.assert_close(whole(sae, sae.encode(x)), wanted)


def test_thresholds_learn_by_what_lies_in_the_band():
    sae, x = made("jump_relu").train(), vectors()
    sae.settle(x)
    sae.band.fill_(0.3)
    active, cost = sae.read(x)
    share = torch.randn(13, 64, dtype=torch.float64)
    (found,) = torch.autograd.grad((whole(sae, active) * share).sum(), sae.log_threshold,
                                   retain_graph=True)  # fmt: skip
    values, theta = dense_products(sae, x).detach(), sae.log_threshold.exp().detach()
    near = ((values - theta).abs() < 0.15) / 0.3
    assert near.any()
    torch.testing.assert_close(found, (-(theta * near) * share).sum(0) * theta)
    count = (values > theta).sum(1).double().mean()
    assert float(cost) == pytest.approx(float((count / 4 - 1) ** 2))
    (found,) = torch.autograd.grad(cost, sae.log_threshold)
    torch.testing.assert_close(found, 2 * (count / 4 - 1) * -near.sum(0) / 13 / 4 * theta)


class Frozen:
    """Stands in for a model: its hidden states are the tokens' own numbers."""

    def __init__(self, sae):
        self.sae = sae

    def hidden(self, tokens):
        return tokens.values


def bags(x):
    return Ragged(x, torch.tensor([0, 5, len(x)]))


def test_the_first_latents_must_do_alone_too():
    sae, x = made("topk"), vectors()
    found = Rebuilt(Frozen(sae), widths=[8, 16])(bags(x)).values
    weights = whole(sae, sae.encode(x))
    wanted = sum(
        ((weights[:, :width] @ sae.decoder[:width] + sae.center - x) ** 2).mean(1)
        for width in (8, 16, 64)
    )
    torch.testing.assert_close(found[:, 0], wanted / 3)


def test_dead_latents_learn_and_living_ones_do_not_learn_from_that():
    sae, x = made("topk"), vectors()
    trained = Rebuilt(Frozen(sae), aux_k=3, dead_after=0)
    trained.idle[:32] = 1  # dead, unless they are seen in this very step
    plain = torch.autograd.grad(Rebuilt(Frozen(sae))(bags(x)).values.mean(), sae.decoder)[0]
    both = torch.autograd.grad(trained(bags(x)).values.mean(), sae.decoder)[0]
    moved = (both - plain).abs().sum(1) > 1e-12
    assert moved[:32].any() and not moved[32:].any()
    left = x - sae.decode(sae.encode(x)).detach()
    values = dense_products(sae, x)[:, :32]
    kept = torch.where(values >= values.topk(3).values[:, -1:], values, 0)
    share = (kept @ sae.decoder[:32] - left).square().sum() / left.square().sum()
    extra = trained(bags(x)).values.mean()
    assert trained.idle.max() == 13 + 13 + 1
    trained.idle[:32], trained.idle[32:] = 1, 0
    found = trained(bags(x)).values.mean() - Rebuilt(Frozen(sae))(bags(x)).values.mean()
    variance = x.var(0, unbiased=False).mean()
    torch.testing.assert_close(found, share / 32 * variance)
    assert extra > 0


def test_what_is_reported_is_of_the_whole_micro_batch():
    sae, x = made("topk"), vectors()
    trained = Rebuilt(Frozen(sae), dead_after=5)
    assert trained.report() == {}
    trained(bags(x))
    weights, found = whole(sae, sae.encode(x)), trained.report()
    rebuilt = weights @ sae.decoder + sae.center
    fvu = (rebuilt - x).square().sum() / (x - x.mean(0)).square().sum()
    assert found["fvu"] == pytest.approx(float(fvu))
    assert found["l0"] == pytest.approx(float((weights > 0).sum(1).double().mean()))
    assert found["dead"] == pytest.approx(float((weights.sum(0) == 0).double().mean()))
    assert found["cosine"] == pytest.approx(float(torch.cosine_similarity(rebuilt, x).mean()))


def test_directions_can_be_held_at_length_1():
    sae = made("topk")
    Rebuilt(Frozen(sae), unit=True)(bags(vectors()))
    torch.testing.assert_close(sae.decoder.norm(dim=1), torch.ones(64, dtype=torch.float64))
    assert {BatchTopK.kind, JumpReLU.kind} == {"batch_topk", "jump_relu"}


def test_a_threshold_forgets_how_training_began():
    sae = made("batch_topk").train()
    for least in torch.linspace(10, 1, 100, dtype=torch.float64):
        sae._remember(least)
    assert 1 < float(sae.threshold) < 2.5  # of the last 20 of 100 steps the mean is 1.9
    assert float(sae.seen) == 100
