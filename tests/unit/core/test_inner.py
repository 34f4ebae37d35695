"""The faster product is the same product, with the same gradients."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F

from trivet.core import inner as module
from trivet.core import layers
from trivet.core.inner import evened, inner, onednn
from trivet.core.layers import fast_layers


@pytest.fixture(params=[True, False], ids=["bf16 is slow", "bf16 is fast"])
def slow(monkeypatch, request):
    """A processor for which torch has no products in bf16, and one for which it has."""
    monkeypatch.setattr(layers, "bf16_is_slow", lambda: request.param)
    return request.param


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


@pytest.mark.parametrize("reached", [[], [0, 1, 17], range(0, 40, 2), range(40)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.usefixtures("cpu")
def test_rows_without_a_gradient_are_left_out_on_the_way_back(reached, dtype):
    a = torch.randn(4, 10, 24, dtype=dtype).transpose(0, 1)  # rows that do not lie side by side
    b, bias, weights = torch.randn(9, 24, dtype=dtype), torch.zeros(9, dtype=dtype), torch.zeros(40)
    weights[list(reached)] = 1.0

    def gradients(linear):
        leaves = [x.clone().requires_grad_() for x in (a, b, bias)]
        (linear(*leaves).flatten(0, 1) * weights[:, None].to(dtype)).square().sum().backward()
        return [leaf.grad for leaf in leaves]

    for ours, plain in zip(gradients(inner), gradients(F.linear), strict=True):
        torch.testing.assert_close(
            ours, plain, atol=1e-4, rtol=1e-2 if dtype != a.float().dtype else 1e-5
        )


def test_less_than_half_of_the_rows_are_taken_alone():
    rows = torch.zeros(6, 3)
    rows[[1, 4], 2] = 1.0  # where the first column says nothing
    assert module._reached(rows).tolist() == [1, 4]
    rows[0, 1] = rows[5, 0] = 1.0
    assert module._reached(rows) is None
    assert module._reached(torch.ones(6, 3)) is None


@pytest.mark.parametrize("learning", [True, False])
def test_only_large_layers_are_taken(cpu, monkeypatch, learning):
    taken = []
    monkeypatch.setattr(layers, "bf16_is_slow", lambda: False)

    def seen(*args):
        taken.append(args[0].dtype)
        return F.linear(*args)

    monkeypatch.setattr(layers, "inner", seen)
    monkeypatch.setattr(layers, "_LEAST", 1000)
    layer, few, many = torch.nn.Linear(8, 8), torch.randn(4, 8), torch.randn(64, 8)
    with fast_layers(learning=learning):
        layer(few)
        layer(many)
        with torch.autocast("cpu", torch.bfloat16):
            assert layer(many).dtype == torch.bfloat16
            with torch.no_grad():
                assert layer(many).dtype == torch.bfloat16
        assert layer.double()(many.double()).dtype == torch.float64
    layer.float()(many)
    assert taken == ([torch.float32, torch.bfloat16] if "AMD" in cpu or learning else [])


@pytest.mark.usefixtures("slow")
def test_a_model_learns_the_same_in_bf16_with_products_of_ours(monkeypatch):
    monkeypatch.setattr(layers, "_LEAST", 1)

    def gradients(context):
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Linear(16, 32), torch.nn.GELU(), torch.nn.Linear(32, 4)
        )
        with torch.autocast("cpu", torch.bfloat16), context:
            out = model(torch.randn(50, 16))
        out[:5].square().sum().backward()
        return [out, *(p.grad for p in model.parameters())]

    for ours, plain in zip(
        gradients(fast_layers(learning=True)), gradients(nullcontext()), strict=True
    ):
        assert ours.dtype == plain.dtype
        torch.testing.assert_close(ours, plain, atol=1e-3, rtol=2e-2)


@pytest.mark.parametrize("product", [torch.matmul, torch.Tensor.matmul, lambda a, b: a @ b])
def test_products_in_bf16_are_summed_in_fp32_where_torch_has_none_that_is_fast(slow, product):
    a, b = torch.randn(3, 7, 40), torch.randn(40, 5)
    wanted = (a.bfloat16().float() @ b.bfloat16().float()).bfloat16()
    seen = []

    class Seen(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func is torch.matmul:
                seen.append(args[0].dtype)
            return func(*args, **(kwargs or {}))

    with Seen(), fast_layers(learning=True):
        found = [product(a.bfloat16(), b.bfloat16())]
        with torch.autocast("cpu", torch.bfloat16):
            found.append(product(a, b))
        assert product(a, b).dtype == torch.float32
        assert product(a.double(), b.double()).dtype == torch.float64
    for one in found:
        assert one.dtype == torch.bfloat16
        torch.testing.assert_close(one, wanted, atol=2e-2, rtol=1e-2)
        assert torch.equal(one, wanted) or not slow
    assert (seen[:2] == [torch.float32] * 2) == slow


def test_newton_schulz_is_in_bf16_by_products_that_are_fast(slow, monkeypatch):
    from trivet.optim.adamw import AdamW
    from trivet.optim.muon import Muon

    widened = []
    inside = layers._widened

    def seen(*args):
        widened.append(args[1].dtype)
        return inside(*args)

    monkeypatch.setattr(layers, "_widened", seen)
    weight, bias = (torch.nn.Parameter(torch.randn(*shape)) for shape in ((12, 8), (8,)))
    weight.grad = torch.randn(12, 8)
    named = [("w", weight), ("b", bias)]
    Muon(lr=0.1, adamw=AdamW(lr=0.1), matrices=["w"], others=[]).make(named).step()
    assert widened == [torch.bfloat16] * 15 * slow  # five turns of three products
