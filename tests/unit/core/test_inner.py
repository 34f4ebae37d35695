"""The faster product is the same product."""

from __future__ import annotations

import pytest
import torch

from trivet.core import inner as module
from trivet.core.inner import inner


@pytest.fixture(autouse=True)
def _ask_again():
    module._linear.cache_clear()
    yield
    module._linear.cache_clear()


@pytest.mark.parametrize("cpu", ["AMD EPYC", "Intel(R) Xeon(R)"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 48, 32), (300, 128, 5), (0, 8, 3), (3, 8, 0)])
def test_it_is_the_plain_product_on_every_processor(monkeypatch, cpu, shape):
    monkeypatch.setattr(module, "hardware", lambda: {"cpu": cpu})
    n, dim, m = shape
    a, b = torch.randn(n, dim), torch.randn(dim, m).T  # rows that do not lie side by side, too
    torch.testing.assert_close(inner(a, b), a @ b.T, atol=1e-5, rtol=0)


def test_only_fp32_without_a_gradient_takes_the_other_library(monkeypatch):
    calls = []

    def linear(a, b, *rest):
        calls.append(a.dtype)
        return a @ b.T

    monkeypatch.setattr(module, "_linear", lambda: linear)
    monkeypatch.setattr(linear, "cache_clear", lambda: None, raising=False)
    a = torch.randn(4, 8)
    inner(a, a)
    inner(a.double(), a.double())
    inner(a.bfloat16(), a.bfloat16())
    assert calls == [torch.float32]
    inner(a.requires_grad_(), a).sum().backward()
    assert calls == [torch.float32] and a.grad is not None
