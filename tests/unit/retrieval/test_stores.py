"""Each way to hold vectors against plain loops over them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from trivet.retrieval import stores
from trivet.retrieval.stores import Binary, Float32, Int8, bytes_per_vector, shortened
from trivet.retrieval.vectors import Shard, Vectors

COUNT, DIM = 61, 20


def plain(vectors):
    return vectors


@pytest.fixture
def documents():
    return F.normalize(torch.randn(COUNT, DIM, generator=torch.Generator().manual_seed(0)), dim=-1)


@pytest.fixture
def queries():
    return F.normalize(torch.randn(9, DIM, generator=torch.Generator().manual_seed(1)), dim=-1)


@pytest.fixture(params=[1, 7, 100])
def vectors(request, documents, monkeypatch):
    """The documents in shuffled shards of several sizes."""
    monkeypatch.setattr(stores, "_BLOCK", request.param)
    rows = torch.randperm(COUNT, generator=torch.Generator().manual_seed(2)).split(10)
    return Vectors([Shard(part, documents[part], 0) for part in rows])


ORDER = np.arange(COUNT)


def ranked(scores, k):
    """Rows by score, the larger row first among equals."""
    return [sorted(range(len(s)), key=lambda i: (-s[i], -i))[:k] for s in scores.tolist()]


def test_float32_is_the_inner_product(vectors, documents, queries):
    rows, scores = Float32(vectors, plain, 50).search(queries, 10, ORDER)
    want = queries @ documents.T
    assert rows.tolist() == ranked(want, 10)
    assert np.allclose(scores, np.sort(want.numpy(), axis=1)[:, ::-1][:, :10], atol=1e-6)


def test_int8_is_the_inner_product_with_documents_rounded_by_half_a_step(
    vectors, documents, queries
):
    store = Int8(vectors, plain, 50)
    step = (documents.amax(0) - documents.amin(0)) / 255
    rounded = store.codes.float() * store.step + store.low
    assert ((rounded - documents).abs() <= step / 2 + 1e-6).all()
    rows, scores = store.search(queries, 10, ORDER)
    want = queries @ rounded.T
    assert np.allclose(scores, np.take_along_axis(want.numpy(), rows, axis=1), atol=1e-5)
    assert np.allclose(scores, np.sort(want.numpy(), axis=1)[:, ::-1][:, :10], atol=1e-5)


def test_a_dimension_that_is_constant_does_no_harm(queries):
    flat = torch.ones(5, DIM)
    store = Int8(Vectors([Shard(torch.arange(5), flat, 0)]), plain, 50)
    _, scores = store.search(queries, 5, ORDER[:5])
    assert np.allclose(scores, queries.sum(1, keepdim=True).numpy(), atol=1e-4)


def test_signs_alone_rank_by_how_many_are_equal(vectors, documents, queries):
    store = Binary(vectors, plain, 50, oversample=4, rescore="none")
    assert store.codes.shape == (COUNT, 3)  # 20 bits in 3 bytes
    rows, _ = store.search(queries, 10, ORDER)
    equal = ((queries > 0)[:, None] == (documents > 0)[None]).sum(-1)
    assert rows.tolist() == ranked(equal, 10)


@pytest.mark.parametrize("rescore", ["binary", "int8"])
def test_candidates_are_rescored_with_the_whole_query(vectors, documents, queries, rescore):
    store = Binary(vectors, plain, 50, oversample=2, rescore=rescore)
    rows, scores = store.search(queries, 5, ORDER)
    equal = ((queries > 0)[:, None] == (documents > 0)[None]).sum(-1)
    candidates = ranked(equal, 10)
    fine = (documents > 0).float() * 2 - 1
    if rescore == "int8":
        codes = Int8(vectors, plain, 50)
        fine = codes.codes.float() * codes.step + codes.low
    for i, query in enumerate(queries):
        want = sorted(((float(query @ fine[j]), j) for j in candidates[i]), reverse=True)[:5]
        assert scores[i] == pytest.approx([score for score, _ in want], abs=1e-5)
        assert set(rows[i].tolist()) <= set(candidates[i])


def test_more_is_asked_for_than_there_is(vectors, queries):
    for store in (
        Float32(vectors, plain, 50),
        Int8(vectors, plain, 50),
        Binary(vectors, plain, 50, oversample=4, rescore="int8"),
    ):
        rows, _ = store.search(queries, 100, ORDER)
        assert sorted(rows[0].tolist()) == list(range(COUNT))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_finds_what_a_cpu_finds(vectors, queries):
    for store, own in (
        (Float32, {}),
        (Int8, {}),
        (Binary, {"oversample": 2, "rescore": "int8"}),
        (Binary, {"oversample": 2, "rescore": "none"}),
    ):
        rows, scores = store(vectors, plain, 50, **own).search(queries, 10, ORDER)
        there = store(vectors, plain, 50, "cuda", **own).search(queries, 10, ORDER)
        assert np.array_equal(there[0], rows)
        assert np.allclose(there[1], scores, atol=1e-5)


def test_fewer_dimensions_are_the_first_ones_and_normal_again(documents):
    short = shortened(documents, 8, normalize=True)
    assert torch.allclose(short, F.normalize(documents[:, :8], dim=-1))
    assert torch.equal(shortened(documents, 8, normalize=False), documents[:, :8])
    assert shortened(documents, None, normalize=True) is documents


def test_what_a_vector_takes():
    assert bytes_per_vector(384, "float32", "int8") == 1536
    assert bytes_per_vector(384, "int8", "int8") == 384
    assert bytes_per_vector(384, "binary", "int8") == 48 + 384
    assert bytes_per_vector(20, "binary", "none") == 3
