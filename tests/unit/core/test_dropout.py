"""Dropout of ours: a fair share, the right scale and gradient, the same for the same seed."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from trivet.core import layers
from trivet.core.dropout import dropout
from trivet.core.layers import fast_layers


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_share_is_zeroed_and_the_rest_scaled(p, dtype):
    torch.manual_seed(0)
    values = torch.ones(300, 333, dtype=dtype, requires_grad=True)
    out = dropout(values, p)
    out.sum().backward()
    assert out.dtype == dtype and values.grad is not None
    torch.testing.assert_close(values.grad, out.detach())  # of ones: the mask, scaled
    kept = out != 0
    torch.testing.assert_close(
        out[kept].float().mean(), torch.tensor(1 / (1 - p)), rtol=5e-3, atol=0
    )
    deviation = (p * (1 - p) / out.numel()) ** 0.5
    assert abs(float((~kept).float().mean()) - p) < 4 * deviation
    for lines in (kept.float().mean(0), kept.float().mean(1)):  # no row and no column is special
        assert float((lines - (1 - p)).abs().max()) < 6 * (p * (1 - p) / 300) ** 0.5


def test_the_seed_decides_and_a_second_draw_is_another():
    values = torch.ones(50, 41)
    torch.manual_seed(3)
    first, second = dropout(values, 0.2), dropout(values, 0.2)
    torch.manual_seed(3)
    assert torch.equal(dropout(values, 0.2), first) and not torch.equal(first, second)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_none_and_all(p):
    assert torch.equal(dropout(torch.ones(9), p), torch.full((9,), 1 - p))


def test_what_does_not_learn_is_left_alone():
    values = torch.randn(7)
    assert torch.equal(dropout(values, 0.5, training=False), values)
    assert dropout(torch.ones(0, 3), 0.5).shape == (0, 3)
    assert dropout(values.clone(), 0.5, inplace=True).shape == (7,)


def test_a_model_that_learns_drops_out_by_it(monkeypatch):
    taken = []

    def seen(values, **options):
        taken.append(values.shape)
        return F.dropout(values, **options)

    monkeypatch.setitem(layers._OWN, F.dropout, seen)
    model = nn.Sequential(nn.Dropout(0.3))
    model(torch.ones(2))
    with fast_layers(learning=True):
        model(torch.ones(3))
    assert taken == [(3,)]
