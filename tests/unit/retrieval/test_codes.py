"""Stored token vectors: what they take, and how far they are from what they were."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from trivet.retrieval.codes import code_bytes, from_codes, to_codes

CODES = ["float32", "float16", "int8", "binary"]


@pytest.fixture(params=[1, 8, 20])
def vectors(request):
    drawn = torch.randn(500, request.param, generator=torch.Generator().manual_seed(0))
    return F.normalize(drawn, dim=-1) * torch.linspace(0.05, 1, 500)[:, None]


def back(vectors, code):
    return from_codes(to_codes(vectors, code), code, vectors.shape[1])


@pytest.mark.parametrize("code", CODES)
def test_a_vector_takes_the_bytes_it_is_said_to_take(vectors, code):
    codes = to_codes(vectors, code)
    assert codes.shape[1] * codes.element_size() == code_bytes(vectors.shape[1], code)


def test_what_a_vector_takes():
    assert [code_bytes(48, code) for code in CODES] == [192, 96, 50, 6]
    assert code_bytes(20, "binary") == 3


def test_floats_come_back_as_they_were_or_rounded(vectors):
    assert torch.equal(back(vectors, "float32"), vectors)
    assert torch.equal(back(vectors, "float16"), vectors.half().float())


def test_int8_is_off_by_half_a_step_of_its_own_vector_at_most(vectors):
    found = back(vectors, "int8")
    step = vectors.abs().amax(1, keepdim=True) / 127
    assert ((found - vectors).abs() <= step * 0.501).all()  # the scale itself has 11 bits
    assert (found - vectors).abs().max() > 0 or vectors.shape[1] == 1


def test_an_inner_product_with_int8_is_off_by_no_more_than_its_bound(vectors):
    """By Cauchy and Schwarz: half a step in each dimension, a query of length one."""
    dim = vectors.shape[1]
    queries = F.normalize(torch.randn(50, dim, generator=torch.Generator().manual_seed(1)), dim=-1)
    off = (queries @ (back(vectors, "int8") - vectors).T).abs()
    assert (off <= dim**0.5 * vectors.abs().amax(1) / 127 * 0.501 + 1e-7).all()


def test_int8_of_zeros_is_zeros_and_of_one_vector_alone_the_same_as_among_others(vectors):
    assert torch.equal(back(torch.zeros(2, 5), "int8"), torch.zeros(2, 5))
    assert torch.equal(to_codes(vectors[7:8], "int8"), to_codes(vectors, "int8")[7:8])


def test_signs_are_those_of_the_numbers_one_by_one(vectors):
    found = back(vectors, "binary").tolist()
    assert found == [[1.0 if x > 0 else -1.0 for x in row] for row in vectors.tolist()]


@pytest.mark.parametrize("code", CODES)
def test_no_vector_at_all_is_no_vector(code):
    codes = to_codes(torch.empty(0, 20), code)
    assert from_codes(codes, code, 20).shape == (0, 20)
    assert np.prod(codes.shape) == 0
