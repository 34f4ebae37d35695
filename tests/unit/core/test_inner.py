"""The faster product is the same product, with the same gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from trivet.core import inner as module
from trivet.core import linears
from trivet.core.inner import evened, inner, onednn
from trivet.core.linears import fast_linears


@pytest.fixture(params=["AMD EPYC", "Intel(R) Xeon(R)"])
def cpu(monkeypatch, request):
    """Either kind of processor, whatever there is."""
    torch.manual_seed(0)
    monkeypatch.setattr(module, "hardware", lambda: {"cpu": request.param})
    onednn.cache_clear()
    yield request.param
    onednn.cache_clear()


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 48, 32), (300, 128, 5), (0, 8, 3), (3, 8, 0)])
@pytest.mark.usefixtures("cpu")
def test_it_is_the_plain_product_on_every_processor(shape):
    n, dim, m = shape
    a, b = torch.randn(n, dim), torch.randn(dim, m).T  # rows that do not lie side by side, too
    torch.testing.assert_close(inner(a, b), a @ b.T, atol=1e-4, rtol=0)
    wide = inner(a, evened(b))[:, :m]
    torch.testing.assert_close(wide, a @ b.T, atol=1e-4, rtol=0)


def test_another_library_takes_it_on_amd_alone(cpu):
    assert (onednn() is not None) == ("AMD" in cpu)
    assert len(evened(torch.ones(17, 4))) == (32 if "AMD" in cpu else 17)


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.usefixtures("cpu")
def test_gradients_are_those_of_a_linear_layer(biased):
    def gradients(linear):
        generator = torch.Generator().manual_seed(0)
        a, b, bias = (
            torch.randn(*shape, generator=generator).requires_grad_()
            for shape in ((2, 5, 24), (9, 24), (9,))
        )
        linear(a, b, bias if biased else None).square().sum().backward()
        return [a.grad, b.grad, *([bias.grad] if biased else [])]

    for ours, plain in zip(gradients(inner), gradients(F.linear), strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-4, rtol=1e-5)


@pytest.mark.usefixtures("cpu")
def test_what_is_frozen_gets_no_gradient():
    a, b = torch.randn(3, 8), torch.randn(4, 8).requires_grad_()
    inner(a, b).sum().backward()
    assert a.grad is None
    torch.testing.assert_close(b.grad, a.sum(0).expand(4, 8), atol=1e-5, rtol=0)


@pytest.mark.usefixtures("cpu")
def test_a_bias_learns_alone():
    a, b, bias = torch.randn(3, 8), torch.randn(4, 8), torch.zeros(4).requires_grad_()
    inner(a, b, bias).sum().backward()
    assert bias.grad.tolist() == [3.0] * 4


def test_other_precisions_stay_where_they_are(cpu, monkeypatch):
    monkeypatch.setattr(module, "onednn", lambda: pytest.fail)
    a = torch.randn(4, 8)
    assert inner(a.double(), a.double()).dtype == torch.float64
    assert inner(a.bfloat16(), a.bfloat16()).dtype == torch.bfloat16


def test_only_large_layers_in_fp32_are_taken(cpu, monkeypatch):
    taken = []

    def seen(*args):
        taken.append(args[0].shape)
        return F.linear(*args)

    monkeypatch.setattr(linears, "inner", seen)
    monkeypatch.setattr(linears, "_LEAST", 1000)
    layer, few, many = torch.nn.Linear(8, 8), torch.randn(4, 8), torch.randn(64, 8)
    with fast_linears():
        layer(few)
        layer(many)
        with torch.autocast("cpu", torch.bfloat16):
            assert layer(many).dtype == torch.bfloat16
        assert layer.double()(many.double()).dtype == torch.float64
    layer.float()(many)
    assert taken == ([many.shape] if "AMD" in cpu else [])
