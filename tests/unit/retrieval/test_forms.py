"""What is stored of token vectors: whole, or cut, pooled and rounded in this order."""

import pytest
import torch
import torch.nn.functional as F

from trivet.core.maxsim import maxsim, reference
from trivet.core.ragged import Ragged
from trivet.retrieval.codes import from_codes, to_codes
from trivet.retrieval.forms import Form
from trivet.retrieval.pooling import Pooling

DIM, LENGTHS = 16, [0, 1, 2, 9, 30]


def drawn(lengths, seed):
    draw = torch.Generator().manual_seed(seed)
    return Ragged.of([F.normalize(torch.randn(n, DIM, generator=draw), dim=-1) for n in lengths])


@pytest.fixture
def documents():
    return drawn(LENGTHS, 0)


def test_the_whole_form_has_the_bits_it_was_given(documents):
    form = Form(DIM, "float32", Pooling())
    found = form.unpack(form.pack(documents))
    assert torch.equal(found.values, documents.values)
    assert torch.equal(found.offsets, documents.offsets)
    half = Ragged(documents.values.half(), documents.offsets)
    assert torch.equal(Form(DIM, "float16", Pooling()).pack(half).values, half.values)


@pytest.mark.parametrize("store", ["float32", "float16", "int8", "binary"])
@pytest.mark.parametrize("dim", [DIM, 5])
def test_vectors_are_cut_and_normal_again_then_pooled_then_rounded(documents, dim, store):
    pool = Pooling(2)
    packed = Form(dim, store, pool).pack(documents)
    for found, whole in zip(packed, documents, strict=True):
        cut = whole if dim == DIM else F.normalize(whole[:, :dim], dim=-1)
        assert torch.equal(found, to_codes(pool.bag(cut), store))
    form = Form(dim, store, pool)
    assert packed.values.nbytes == form.bytes * len(packed.values)
    unpacked = form.unpack(packed)
    assert torch.equal(unpacked.values, from_codes(packed.values, store, dim))


def test_a_query_with_signs_scores_as_with_plus_and_minus_one(documents):
    queries = drawn([3, 1, 8], 1)
    form = Form(DIM, "binary", Pooling())
    signs = torch.where(documents.values > 0, 1.0, -1.0)
    want = reference(queries, Ragged(signs, documents.offsets))
    torch.testing.assert_close(maxsim(queries, form.unpack(form.pack(documents))), want)


@pytest.mark.parametrize("dim", [DIM, 7])
def test_int8_moves_a_score_by_less_than_its_bound(documents, dim):
    """Half a step in each dimension for each query token: no entry of a unit vector is above 1."""
    queries = drawn([3, 1, 8], 2)
    exact, form = Form(dim, "float32", Pooling()), Form(dim, "int8", Pooling())
    asked = Ragged(form.cut(queries.values), queries.offsets)
    one, other = (maxsim(asked, f.unpack(f.pack(documents))) for f in (exact, form))
    bound = 0.501 * dim**0.5 / 127 * queries.lengths[:, None]
    filled = documents.lengths > 0
    assert ((one - other).abs() <= bound)[:, filled].all()
    assert torch.isneginf(other[:, ~filled]).all()
