"""The best of an inverted index are those of the whole product, in trec_eval's order."""

import numpy as np
import pytest
import torch

from trivet.core.errors import TrivetError
from trivet.retrieval.postings import Postings
from trivet.retrieval.postings_search import best_of_postings
from trivet.retrieval.topk import id_order, topk


def held(matrix):
    rows, terms = matrix.nonzero()
    return Postings.of(terms, rows, matrix[rows, terms], matrix.shape[1])


@pytest.mark.parametrize("k", [1, 3, 10, 400])
@pytest.mark.parametrize("documents", [1, 63, 64, 65, 300])
@pytest.mark.parametrize("levels", [2, 100])
def test_it_is_the_top_of_the_product_with_ties_by_id(documents, k, levels):
    rng = np.random.default_rng(documents + k)
    draw = lambda n, share: (  # noqa: E731 - few levels make many ties
        rng.integers(1, levels, (n, 14)) * (rng.random((n, 14)) < share)
    ).astype(np.float32)
    matrix, queries = draw(documents, 0.3), draw(5, 0.2)
    queries[2] = 0  # shares nothing
    order = id_order([f"d{i}" for i in rng.permutation(documents)])
    asked = held(queries).by_row(slice(0, 5))
    rows, scores = best_of_postings(held(matrix), asked, documents, k, order)
    product = torch.from_numpy(queries @ matrix.T)
    product[product == 0] = -torch.inf
    wanted = topk(product, k, order)
    assert np.array_equal(rows, wanted[0])
    np.testing.assert_allclose(scores, wanted[1], rtol=1e-6)
    assert (rows[2] == -1).all()


def test_documents_at_the_end_without_a_term_are_not_found():
    matrix = np.zeros((200, 3), np.float32)
    matrix[5, 1] = 2.0
    rows, scores = best_of_postings(
        held(matrix), [(np.array([1]), np.ones(1, np.float32))], 200, 4, np.arange(200)
    )
    assert rows.tolist() == [[5, -1, -1, -1]]
    assert scores[0, 0] == 2.0 and np.isneginf(scores[0, 1:]).all()


@pytest.mark.parametrize("wrong", [np.nan, -np.nan])
def test_what_is_no_number_is_refused(wrong):
    matrix = np.ones((100, 2), np.float32)
    matrix[70, 1] = wrong
    asked = [(np.array([1]), np.ones(1, np.float32))]
    with pytest.raises(TrivetError, match="not a number"):
        best_of_postings(held(matrix), asked, 100, 5, np.arange(100))
