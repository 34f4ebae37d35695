"""The largest products of vectors with a matrix, against all of them."""

from __future__ import annotations

import torch

from trivet.models.products import largest, weigh


def test_products_and_their_gradients_are_those_of_a_plain_product():
    torch.manual_seed(0)
    vectors = torch.randn(19, 8, dtype=torch.float64, requires_grad=True)
    matrix = torch.randn(64, 8, dtype=torch.float64, requires_grad=True)
    chosen, products = largest(vectors, matrix, 3)
    wanted = (vectors @ matrix.T).gather(1, chosen)
    found = weigh(vectors, matrix, chosen, products)
    torch.testing.assert_close(found, wanted)
    share = torch.randn_like(wanted)
    for one, other in zip(
        torch.autograd.grad(found, (vectors, matrix), share),
        torch.autograd.grad(wanted, (vectors, matrix), share),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_under_autocast_products_are_computed_in_16_bits_and_weigh_in_32():
    vectors, matrix = torch.randn(5, 8), torch.randn(64, 8)
    with torch.autocast("cpu", torch.bfloat16):
        chosen, products = largest(vectors, matrix, 3)
        plain = vectors @ matrix.T
    assert products.dtype == torch.float32 and plain.dtype == torch.bfloat16
    assert torch.equal(products.bfloat16(), plain.topk(3, dim=1).values)
    assert torch.equal(plain.gather(1, chosen).float(), products)
