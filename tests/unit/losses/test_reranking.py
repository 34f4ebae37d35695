"""The losses of a reranker against sums written out by hand."""

import math

import pytest
import torch

from trivet.core.errors import ConfigError
from trivet.losses.bce import BCE
from trivet.losses.kl import Side
from trivet.losses.lambda_loss import LambdaLoss, _weights
from trivet.losses.listwise import Listwise

DRAW = torch.Generator().manual_seed(0)
SCORES = torch.randn(3, 5, generator=DRAW, dtype=torch.float64)
TEACHER = 4 * torch.randn(3, 5, generator=DRAW, dtype=torch.float64)
FIRST = torch.eye(5, dtype=torch.float64)[:1].expand(3, 5)
GRADES = torch.tensor([[2.0, 0, 1, 0, 0], [0, 0, 0, 0, 0], [3, 1, 1, 0, 2]], dtype=torch.float64)
SHARES = torch.rand(3, 5, generator=DRAW, dtype=torch.float64)
CASES = [
    (BCE(), FIRST),
    (BCE(positive_weight=4.0), SHARES),
    (BCE("sigmoid"), TEACHER),
    (BCE("minmax"), TEACHER),
    (Listwise(), FIRST),
    (Listwise(0.5), SHARES),
    (Listwise(1.0, Side("minmax", 0.3)), TEACHER),
    (LambdaLoss(), FIRST),
    (LambdaLoss(2.0, 0.0), GRADES),
    (LambdaLoss(mu=5.0, scale="minmax"), TEACHER),
]


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def minmax(row):
    return [(x - min(row)) / (max(row) - min(row)) for x in row]


def bce(loss, scores, labels):
    total = 0.0
    for s, y in zip(scores, labels, strict=True):
        y = {"none": list, "sigmoid": lambda r: list(map(sigmoid, r)), "minmax": minmax}[
            loss.scale
        ](y)
        for score, yes in zip(s, y, strict=True):
            total -= loss.positive_weight * yes * math.log(sigmoid(score))
            total -= (1 - yes) * math.log(sigmoid(-score))
    return total / sum(map(len, scores))


def listwise(loss, scores, labels):
    total = 0.0
    for s, y in zip(scores, labels, strict=True):
        if loss.teacher is not None:
            y = [math.exp(x / loss.teacher.temperature) for x in minmax(y)]
        whole = sum(math.exp(x / loss.temperature) for x in s)
        for score, share in zip(s, y, strict=True):
            total -= share / sum(y) * (score / loss.temperature - math.log(whole))
    return total / len(scores)


def lambdas(loss, scores, labels):
    def discount(place):
        return 1 / math.log2(1 + place)

    total = 0.0
    for s, y in zip(scores, labels, strict=True):
        y = minmax(y) if loss.scale == "minmax" else y
        ideal = sum((2**g - 1) * discount(k) for k, g in enumerate(sorted(y)[::-1], 1))
        place = [1 + sum(other > score for other in s) for score in s]
        for i in range(len(s)):
            for j in range(len(s)):
                if y[i] <= y[j]:
                    continue
                gain = abs((2 ** y[i] - 2 ** y[j]) / ideal)
                rho = abs(discount(place[i]) - discount(place[j]))
                k = abs(place[i] - place[j])
                delta = abs(discount(k) - discount(k + 1))
                cost = math.log2(1 + math.exp(-loss.sigma * (s[i] - s[j])))
                total += gain * (rho + loss.mu * delta) * cost
    return total / len(scores)


BY_HAND = {BCE: bce, Listwise: listwise, LambdaLoss: lambdas}


@pytest.mark.parametrize(("loss", "labels"), CASES, ids=lambda case: str(case)[:40])
def test_it_is_the_sum_written_out(loss, labels):
    expected = BY_HAND[type(loss)](loss, SCORES.tolist(), labels.tolist())
    assert float(loss(SCORES, labels)) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(("loss", "labels"), CASES, ids=lambda case: str(case)[:40])
def test_its_gradient_is_that_of_the_sum(loss, labels):
    """Small steps change no place, so the weights of pairs are constants of the sum, too."""
    scores = SCORES.clone().requires_grad_()
    loss(scores, labels).backward()
    step = 1e-6
    for i, j in [(0, 0), (0, 3), (1, 2), (2, 0), (2, 4)]:
        ends = []
        for sign in (1, -1):
            moved = SCORES.clone()
            moved[i, j] += sign * step
            ends.append(BY_HAND[type(loss)](loss, moved.tolist(), labels.tolist()))
        assert float(scores.grad[i, j]) == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-6)


@pytest.mark.parametrize(("loss", "labels"), CASES, ids=lambda case: str(case)[:40])
def test_it_falls_where_its_gradient_points_and_is_at_least_fp32(loss, labels):
    scores = SCORES.clone().requires_grad_()
    loss(scores, labels).backward()
    after = loss(SCORES - 0.01 * scores.grad, labels)
    assert float(after) < float(loss(SCORES, labels))
    assert loss(SCORES.bfloat16(), labels).dtype == torch.float32


def test_the_weights_of_pairs_are_those_of_sentence_transformers():
    peers = pytest.importorskip("sentence_transformers.cross_encoder.losses")
    scores = SCORES.sort(descending=True).values
    discounts = torch.log2(torch.arange(1, 6, dtype=torch.float64) + 1)[None]
    gains = 2 ** GRADES[::2] - 1
    gains /= (gains.sort(descending=True).values / discounts).sum(-1, keepdim=True)
    for mu in (0.0, 10.0):
        theirs = peers.NDCGLoss2PPScheme(mu)(gains, discounts, None)
        torch.testing.assert_close(_weights(scores[::2], GRADES[::2], mu), theirs)


def test_a_query_whose_labels_are_all_the_same_has_no_pair_to_order():
    scores = SCORES[1:2].clone().requires_grad_()
    value = LambdaLoss()(scores, GRADES[1:2])
    value.backward()
    assert value.item() == 0 and scores.grad.abs().max() == 0


def test_only_labels_that_a_loss_cannot_use_are_unfit():
    labels = torch.tensor([[0.0, 1.0], [-1.0, 2.0], [0.0, 0.0], [40.0, 0.0]])
    assert BCE().unfit(labels).tolist() == [False, True, False, True]
    assert Listwise().unfit(labels).tolist() == [False, True, True, False]
    assert LambdaLoss().unfit(labels).tolist() == [False, True, False, True]
    for loss in (BCE("sigmoid"), BCE("minmax"), Listwise(1.0, Side()), LambdaLoss(scale="minmax")):
        assert not loss.unfit(labels).any() and loss.scales


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: BCE(positive_weight=0), "positive_weight: must be above 0"),
        (lambda: Listwise(0), "temperature: must be above 0"),
        (lambda: LambdaLoss(sigma=0), "sigma: must be above 0"),
        (lambda: LambdaLoss(mu=-1), "mu: must not be negative"),
    ],
)
def test_settings_that_cannot_order_are_refused(make, match):
    with pytest.raises(ConfigError, match=match):
        make()
