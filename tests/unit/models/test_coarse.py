"""Choosing by bytes, against all products in fp32."""

from __future__ import annotations

import pytest
import torch

from trivet.models.coarse import largest_by_bytes, suited
from trivet.models.products import largest


@pytest.mark.parametrize("biased", [False, True])
def test_the_largest_are_those_of_all_products(biased: bool):
    torch.manual_seed(0)
    vectors, matrix = torch.randn(300, 24), torch.randn(4096, 24) * torch.rand(4096, 1)
    bias = torch.randn(4096) if biased else None
    values, rows = largest_by_bytes(vectors, matrix, 5, bias)
    products = vectors @ matrix.T + (0 if bias is None else bias)
    wanted, places = products.topk(5, dim=1)
    assert torch.equal(rows, places)
    torch.testing.assert_close(values, wanted)


def test_rows_too_alike_for_bytes_are_told_apart():
    torch.manual_seed(0)
    vectors = torch.randn(20, 24)
    matrix = torch.randn(24).expand(4096, 24) + 1e-4 * torch.randn(4096, 24)
    with torch.autocast("cpu", torch.bfloat16):
        values, rows = largest_by_bytes(vectors, matrix, 3)
    wanted = (vectors.double() @ matrix.double().T).topk(3, dim=1).values
    torch.testing.assert_close(values.double(), wanted, atol=1e-5, rtol=0)
    assert (rows.sort(1).values.diff(dim=1) > 0).all()


def test_a_vector_of_zeros_and_one_thread_more(monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(0)
    vectors, matrix = torch.randn(64, 16), torch.randn(4096, 16)
    vectors[3] = 0
    alone = largest_by_bytes(vectors, matrix, 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    for one, other in zip(alone, largest_by_bytes(vectors, matrix, 4), strict=True):
        assert torch.equal(one, other)
    assert alone[0][3].eq(0).all()


def test_what_is_no_number_is_not_hidden():
    vectors, matrix = torch.randn(256, 8), torch.randn(4096, 8)
    vectors[1, 2] = float("nan")
    assert not suited(vectors, matrix, 4)
    _, products = largest(vectors, matrix, 4)
    assert products[1].isnan().all() and products[0].isfinite().all()


def test_a_dictionary_of_another_size_or_kind_is_multiplied_as_before():
    vectors = torch.randn(256, 8)
    for matrix in (torch.randn(4000, 8), torch.randn(1024, 8), torch.randn(4096, 8).double()):
        assert not suited(vectors, matrix, 4)
