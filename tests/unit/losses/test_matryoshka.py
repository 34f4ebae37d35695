import pytest
import torch

from trivet.core.errors import ConfigError
from trivet.losses.infonce import infonce
from trivet.losses.matryoshka import Matryoshka, shortened


def drawn(*shape):
    draw = torch.Generator().manual_seed(0)
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


def contrast(vectors):
    queries, documents = vectors.chunk(2)
    return infonce(queries, documents, positives=torch.arange(len(queries)), temperature=0.1)


def test_the_sum_equals_each_size_by_itself():
    vectors = drawn(8, 6)
    found = Matryoshka([2, 6], [0.5, 2.0])(contrast, vectors)
    parts = []
    for dim in (2, 6):
        cut = torch.stack([row[:dim] / row[:dim].norm() for row in vectors])
        parts.append(contrast(cut).item())
    assert found.item() == pytest.approx(0.5 * parts[0] + 2.0 * parts[1], rel=1e-12)


def test_no_weights_are_equal_ones():
    vectors = drawn(8, 6)
    equal = Matryoshka([2, 4])(contrast, vectors)
    assert equal.item() == Matryoshka([2, 4], [1.0, 1.0])(contrast, vectors).item()


def test_values_beyond_the_largest_size_get_no_gradient():
    vectors = drawn(8, 6).requires_grad_()
    Matryoshka([2, 4])(contrast, vectors).backward()
    assert vectors.grad is not None
    assert vectors.grad[:, :4].any() and not vectors.grad[:, 4:].any()


def test_the_gradient_equals_finite_differences():
    vectors = drawn(4, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: Matryoshka([2, 4])(contrast, v), vectors)


def test_leading_dimensions_stay_and_each_vector_has_length_one():
    short = shortened(drawn(3, 2, 6), 4)
    assert short.shape == (3, 2, 4)
    torch.testing.assert_close(short.norm(dim=-1), torch.ones(3, 2, dtype=torch.float64))


@pytest.mark.parametrize(
    "given, computed", [(torch.float64, torch.float64), (torch.bfloat16, torch.float32)]
)
def test_a_size_is_normalised_in_fp32_or_better(given, computed):
    assert shortened(drawn(2, 4).to(given), 2).dtype == computed


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dims": []}, "at least 1"),
        ({"dims": [4, 0]}, "at least 1"),
        ({"dims": [4, 4]}, "twice"),
        ({"dims": [2, 4], "weights": [1.0]}, "1 weights for 2 sizes"),
        ({"dims": [2, 4], "weights": [1.0, 0.0]}, "above 0"),
    ],
)
def test_sizes_that_cannot_work_are_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        Matryoshka(**fields)


def test_a_size_beyond_the_vectors_is_refused():
    with pytest.raises(ConfigError, match="6 dimensions, not 8"):
        Matryoshka([8])(contrast, drawn(8, 6))
