import numpy as np
import pytest

from trivet.retrieval.postings import Postings


@pytest.mark.parametrize("seed", range(5))
def test_postings_are_the_columns_of_the_matrix(seed):
    rng = np.random.default_rng(seed)
    matrix = rng.random((9, 14)).astype(np.float32) * (rng.random((9, 14)) < 0.3)
    rows, terms = matrix.nonzero()
    by = rng.permutation(len(rows))
    postings = Postings.of(terms[by], rows[by], matrix[rows, terms][by], 14)
    for term in range(14):
        found, values = postings[term]
        assert found.tolist() == matrix[:, term].nonzero()[0].tolist()
        assert values.tolist() == matrix[found, term].tolist()
    assert postings.frequencies.tolist() == (matrix > 0).sum(0).tolist()
    assert postings.totals(postings.values) == pytest.approx(matrix.sum(0))
