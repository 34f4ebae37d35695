import pytest
import torch

from trivet.core.errors import TrivetError
from trivet.core.memory import halving


def fits(limit, error):
    tried = []

    def work(budget):
        tried.append(budget)
        if budget > limit:
            raise error
        return "done"

    return work, tried


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
        MemoryError(),
    ],
)
def test_the_budget_is_halved_until_the_work_fits_and_stays_so(error, caplog):
    work, tried = fits(300, error)
    assert halving(work, 1000, "documents") == ("done", 250)
    assert tried == [1000, 500, 250] and caplog.text.count("half the budget") == 2


def test_what_never_fits_is_one_line():
    work, _ = fits(0, MemoryError())
    with pytest.raises(TrivetError, match="documents: the memory runs out"):
        halving(work, 1000, "documents")


def test_another_error_is_not_taken_for_a_lack_of_memory():
    work, tried = fits(0, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes"):
        halving(work, 1000, "documents")
    assert tried == [1000]
