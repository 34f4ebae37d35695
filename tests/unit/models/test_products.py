"""The largest products of vectors with a matrix, against torch.topk of all of them."""

from __future__ import annotations

import pytest
import torch

from trivet.models.products import largest, top, weigh


@pytest.mark.parametrize("width", [24, 64, 256, 1024])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("k", [1, 4, 16])
def test_the_largest_of_each_row_are_those_of_topk(width, dtype, k):
    torch.manual_seed(width + k)
    products = torch.randn(37, width).to(dtype)  # in bf16 there are ties
    values, places = top(products, k)
    assert torch.equal(values, products.topk(k, dim=1).values)
    assert torch.equal(products.gather(1, places), values)
    assert all(len(set(row)) == k for row in places.tolist())


def test_rows_that_are_all_equal_have_k_different_places():
    values, places = top(torch.zeros(3, 64), 4)
    assert not values.any() and all(len(set(row)) == 4 for row in places.tolist())


def test_what_is_no_number_is_among_the_largest():
    products = torch.zeros(1, 64)
    products[0, 50] = torch.nan
    values, places = top(products, 2)
    assert values.isnan().any() and 50 in places[0].tolist()


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
