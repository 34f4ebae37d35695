import pytest
import torch

from trivet.losses.false_negatives import false_negatives


def mask(queries, documents, positives):
    """The places found, as a mask."""
    rows, columns = false_negatives(queries, documents, queries, documents[positives])
    assert (rows.diff() >= 0).all()
    out = torch.zeros(len(queries), len(documents), dtype=torch.bool)
    out[rows, columns] = True
    assert out.sum() == len(rows)  # each place once
    return out


def brute_force(queries, documents, positives):
    """A document is known for a query if some row has both texts."""
    known = {(q, documents[p]) for q, p in zip(queries, positives, strict=True)}
    return [[(q, d) in known for d in documents] for q in queries]


@pytest.mark.parametrize("texts", [1, 2, 3, 8, 1000])
@pytest.mark.parametrize("seed", range(5))
def test_known_answers_are_those_of_brute_force(texts, seed):
    draw = torch.Generator().manual_seed(seed)
    queries = torch.randint(0, texts, (12,), generator=draw)
    documents = torch.randint(0, texts, (30,), generator=draw)
    positives = torch.randperm(30, generator=draw)[:12]
    found = mask(queries, documents, positives)
    assert found.tolist() == brute_force(*(x.tolist() for x in (queries, documents, positives)))


def test_a_copy_of_the_query_shares_its_answers():
    found = mask(torch.tensor([5, 5]), torch.tensor([1, 2]), torch.tensor([0, 1]))
    assert found.tolist() == [[True, True], [True, True]]


def test_a_copy_of_the_answer_is_known_wherever_it_stands():
    found = mask(torch.tensor([5, 6]), torch.tensor([1, 2, 1]), torch.tensor([0, 1]))
    assert found.tolist() == [[True, False, True], [False, True, False]]


def test_texts_that_are_all_different_leave_only_the_positives():
    positives = torch.tensor([2, 0, 1])
    found = mask(torch.arange(3), torch.arange(4), positives)
    assert found.tolist() == torch.nn.functional.one_hot(positives, 4).bool().tolist()


def test_ids_that_float_cannot_tell_apart_are_not_confused():
    queries = torch.tensor([2**53, 2**53 + 1])
    found = mask(queries, queries.clone(), torch.tensor([0, 1]))
    assert found.tolist() == [[True, False], [False, True]]
