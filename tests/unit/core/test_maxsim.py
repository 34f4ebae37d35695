import pytest
import torch
import torch.nn.functional as F

from trivet.core import maxsim as room
from trivet.core.maxsim import Prepared, maxsim, reference
from trivet.core.ragged import Ragged


def bags(lengths, dim, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rows = [F.normalize(torch.randn(n, dim, generator=generator), dim=-1) for n in lengths]
    return Ragged.of(rows)


def lengths(count, longest, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, longest + 1, (count,), generator=generator).tolist()


@pytest.mark.parametrize("dim", [48, 64, 128, 37])
def test_it_gives_what_two_loops_give(dim):
    queries, documents = bags(lengths(7, 40), dim, 1), bags([*lengths(50, 300), 700, 1], dim)
    expected = reference(queries, documents)
    found = maxsim(queries, documents)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    again = maxsim(queries, Prepared.of(documents))
    torch.testing.assert_close(again, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("budget", [1, 50, 1000, 1 << 26])
@pytest.mark.parametrize("tokens", [1, 64, 1 << 14])
def test_neither_the_budget_nor_the_size_of_a_block_changes_a_score(budget, tokens, monkeypatch):
    monkeypatch.setattr(room, "_CPU_TOKENS", tokens)
    queries, documents = bags(lengths(5, 9), 16, 1), bags([*lengths(30, 40), 300], 16)
    found = maxsim(queries, documents, budget=budget)
    torch.testing.assert_close(found, reference(queries, documents), atol=1e-5, rtol=1e-5)


def test_a_negative_best_stays_negative_beside_longer_documents():
    query = Ragged.of([torch.tensor([[1.0, 0.0]])])
    documents = Ragged.of([torch.tensor([[-1.0, 0.0]]), torch.tensor([[-0.5, 0.0]] * 2)])
    assert maxsim(query, documents).tolist() == [[-1.0, -0.5]]


def test_a_document_without_tokens_is_not_found_and_a_query_without_tokens_scores_nothing():
    documents = bags([3, 0, 5, 0], 8)
    queries = bags([2, 0, 4], 8, 1)
    found = maxsim(queries, documents)
    assert torch.isneginf(found[:, [1, 3]]).all()
    assert found[1, [0, 2]].tolist() == [0.0, 0.0]
    expected = reference(queries, documents)
    torch.testing.assert_close(found[[0, 2]], expected[[0, 2]], atol=1e-5, rtol=1e-5)


def test_nothing_to_score_is_an_empty_table():
    assert maxsim(bags([], 8), bags([], 8)).shape == (0, 0)
    assert maxsim(bags([3], 8), bags([0, 0], 8)).tolist() == [[-float("inf")] * 2]
    empty = Ragged(torch.empty(0, 8), torch.zeros(1, dtype=torch.int64))
    assert maxsim(empty, bags([2, 3], 8)).shape == (0, 2)
    assert maxsim(bags([2], 8), empty).shape == (1, 0)


def test_documents_in_half_precision_are_scored_in_whole():
    queries, documents = bags([4, 5], 32, 1), bags(lengths(20, 30), 32)
    half = Ragged(documents.values.half(), documents.offsets)
    whole = Ragged(half.values.float(), half.offsets)
    assert torch.equal(maxsim(queries, half), maxsim(queries, whole))
    assert maxsim(queries, half).dtype == torch.float32


def test_a_block_repeats_at_most_a_tenth_and_holds_each_document_once():
    documents = bags(lengths(200, 300), 4)
    prepared = Prepared.of(documents, 2048)
    assert sorted(torch.cat(prepared.rows).tolist()) == list(range(200))
    computed = sum(block.shape[0] * block.shape[1] for block in prepared.blocks)
    assert computed < 1.1 * len(documents.values)
    assert all(len(b) == 1 or b.shape[0] * b.shape[1] <= 2048 for b in prepared.blocks)
