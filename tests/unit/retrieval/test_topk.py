import numpy as np
import pytest
import torch

from trivet.core.errors import TrivetError
from trivet.retrieval.topk import id_order, merge, topk


def brute_force(scores, k, ids):
    """Sort everything by (score, id), both descending."""
    rows = []
    for row in scores.tolist():
        found = sorted(range(len(row)), key=lambda i: (row[i], ids[i]), reverse=True)[:k]
        rows.append([i if row[i] > -np.inf else -1 for i in found])
    return rows


def some_ids(rng, count):
    ids = [str(i) for i in range(count)]  # as strings: "10" < "9"
    rng.shuffle(ids)
    return ids


@pytest.mark.parametrize("levels", [1, 2, 3, 50])
@pytest.mark.parametrize("k", [1, 2, 7, 40, 41, 100])
def test_ties_are_ordered_by_document_id_even_across_the_cut(levels, k):
    rng = np.random.default_rng(levels * 1000 + k)
    ids = some_ids(rng, 41)
    scores = torch.from_numpy(rng.integers(0, levels, (30, 41)).astype(np.float32))
    rows, best = topk(scores, k, id_order(ids))
    assert rows.tolist() == brute_force(scores, k, ids)
    assert best.tolist() == torch.gather(scores, 1, torch.from_numpy(rows)).tolist()


def test_ids_are_compared_as_strings_not_as_numbers():
    rows, _ = topk(torch.zeros(1, 3), 3, id_order(["10", "9", "100"]))
    assert rows.tolist() == [[1, 2, 0]]


def test_zero_and_minus_zero_are_a_tie():
    ids = ["a", "b", "c", "d"]
    rows, _ = topk(torch.tensor([[0.0, -0.0, 0.0, -0.0]]), 2, id_order(ids))
    assert rows.tolist() == [[3, 2]]


def test_a_document_that_was_not_found_is_no_result():
    none = -torch.inf
    rows, _ = topk(torch.tensor([[none, 1.0, none, 2.0], [none] * 4]), 3, id_order(list("abcd")))
    assert rows.tolist() == [[3, 1, -1], [-1, -1, -1]]


def test_scores_in_half_precision_come_back_in_fp32():
    _, best = topk(torch.tensor([[1.0, 2.0]], dtype=torch.bfloat16), 1, id_order(["a", "b"]))
    assert best.dtype == np.float32


@pytest.mark.parametrize("place", [0, 5, 9])
def test_a_score_that_is_not_a_number_is_refused_wherever_it_stands(place):
    scores = torch.zeros(2, 10)
    scores[1, place] = torch.nan
    with pytest.raises(TrivetError, match="not a number"):
        topk(scores, 3, id_order([str(i) for i in range(10)]))


@pytest.mark.parametrize("levels", [1, 2, 4, 1000])
@pytest.mark.parametrize("chunk", [1, 3, 8, 60])
def test_chunks_of_the_corpus_give_the_bits_of_one_piece(levels, chunk):
    rng = np.random.default_rng(levels + chunk)
    ids = some_ids(rng, 60)
    order = id_order(ids)
    scores = torch.from_numpy(rng.integers(0, levels, (20, 60)).astype(np.float32) / 3)
    scores[rng.random((20, 60)) < 0.5] = -torch.inf
    best = None
    for start in range(0, 60, chunk):
        rows, values = topk(scores[:, start : start + chunk], 8, order[start : start + chunk])
        found = (np.where(rows < 0, -1, rows + start), values)
        best = found if best is None else merge(best, found, 8, order)
    rows, values = topk(scores, 8, order)
    assert best is not None
    assert best[0].tolist() == rows.tolist()
    assert best[1].tobytes() == values.tobytes()
