"""The largest of each row, against torch.topk."""

from __future__ import annotations

import pytest
import torch

from trivet.core.top import top


@pytest.mark.parametrize("width", [24, 64, 256, 1031, 2048])
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
    values, places = top(torch.zeros(3, 640), 4)
    assert not values.any() and all(len(set(row)) == 4 for row in places.tolist())


def test_what_is_no_number_is_among_the_largest():
    products = torch.zeros(1, 640)
    products[0, 50] = torch.nan
    values, places = top(products, 2)
    assert values.isnan().any() and 50 in places[0].tolist()
