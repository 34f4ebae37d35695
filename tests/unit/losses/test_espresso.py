import math

import pytest
import torch

from trivet.core.errors import ConfigError
from trivet.losses.espresso import Espresso, alignment, compressed
from trivet.losses.infonce import infonce


def drawn(*shape, seed=0):
    draw = torch.Generator().manual_seed(seed)
    vectors = torch.randn(*shape, generator=draw, dtype=torch.float64)
    return vectors / vectors.norm(dim=-1, keepdim=True)


def contrast(vectors):
    queries, documents = vectors.chunk(2)
    return infonce(queries, documents, positives=torch.arange(len(queries)), temperature=0.1)


def cut(vectors, dim):
    return torch.stack([row[:dim] / row[:dim].norm() for row in vectors])


def test_the_sum_without_compression_equals_each_layer_and_size_by_itself():
    vectors = drawn(6, 3, 8)
    found = Espresso([1, 4, 7], 3, compress=False)(contrast, vectors)
    want = contrast(vectors[:, 2]) + contrast(cut(vectors[:, 2], 3))
    want += contrast(cut(vectors[:, 0], 3)) / 2
    want += contrast(cut(vectors[:, 1], 3)) / (1 + math.log(4)) / 2
    assert found.item() == pytest.approx(want.item(), rel=1e-12)


def test_compression_adds_each_layers_alignment_under_the_same_weights():
    vectors = drawn(6, 2, 8)
    without, with_it = (Espresso([2, 7], 3, compress=c)(contrast, vectors) for c in (False, True))
    parts = [alignment(vectors[:, k, :3], compressed(vectors[:, k], 3), 1.0) for k in (0, 1)]
    want = parts[0] / (1 + math.log(2)) + parts[1]
    assert (with_it - without).item() == pytest.approx(want.item(), rel=1e-9)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_the_alignment_equals_brute_force(temperature):
    values, target = drawn(4, 3), drawn(4, 3, seed=1)
    squares = divergence = 0.0
    for row, goal in zip(values.tolist(), target.tolist(), strict=True):
        squares += sum((x - y) ** 2 for x, y in zip(row, goal, strict=True)) / 12
        odds = [[math.exp(x / temperature) for x in some] for some in (row, goal)]
        mine, wanted = ([x / sum(some) for x in some] for some in odds)
        divergence += sum(p * math.log(p / q) for p, q in zip(wanted, mine, strict=True)) / 4
    found = alignment(values, target, temperature)
    assert found.item() == pytest.approx(squares + temperature * divergence, rel=1e-9)


def test_a_compression_holds_the_leading_components_up_to_their_sign():
    vectors = drawn(20, 6)
    mixed = torch.softmax(vectors.T @ vectors / 6**0.5, dim=-1)
    values, found = torch.linalg.eigh(mixed @ mixed.T)  # rising; their roots are the sizes
    want = vectors @ found.flip(1)[:, :3] * values.flip(0)[:3].sqrt()
    torch.testing.assert_close(compressed(vectors, 3).abs(), want.abs(), atol=1e-9, rtol=0)


def test_a_compression_keeps_its_sign_when_rows_change_a_little():
    vectors = drawn(50, 6)
    close = compressed(vectors + 1e-6 * drawn(50, 6, seed=1), 2)
    torch.testing.assert_close(close, compressed(vectors, 2), atol=1e-4, rtol=0)


def test_no_gradient_flows_through_the_target():
    vectors = drawn(6, 8).requires_grad_()
    assert not compressed(vectors, 3).requires_grad


def test_every_layer_and_only_leading_values_of_the_shallow_ones_learn():
    vectors = drawn(6, 2, 8).requires_grad_()
    Espresso([2, 7], 3)(contrast, vectors).backward()
    assert vectors.grad is not None
    assert vectors.grad[:, 0, :3].any() and not vectors.grad[:, 0, 3:].any()
    assert vectors.grad[:, 1, 3:].any()


@pytest.mark.parametrize(
    "given, computed", [(torch.float64, torch.float64), (torch.bfloat16, torch.float32)]
)
def test_the_loss_is_computed_in_fp32_or_better(given, computed):
    vectors = drawn(6, 2, 8).to(given)
    loss = Espresso([2, 7], 3)
    found = loss(contrast, vectors)
    assert found.dtype == computed
    assert found.item() == pytest.approx(loss(contrast, vectors.double()).item(), rel=1e-4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"layers": [7], "dim": 3}, "two layers"),
        ({"layers": [0, 7], "dim": 3}, "from 1"),
        ({"layers": [7, 3], "dim": 3}, "rise"),
        ({"layers": [3, 7], "dim": 0}, "at least 1"),
        ({"layers": [3, 7], "dim": 3, "temperature": 0.0}, "above 0"),
    ],
)
def test_what_cannot_work_is_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        Espresso(**fields)


def test_vectors_of_another_shape_are_refused():
    with pytest.raises(ConfigError, match="of 3 layers came, 2"):
        Espresso([3, 7], 3)(contrast, drawn(6, 3, 8))
    with pytest.raises(ConfigError, match="below the 8"):
        Espresso([3, 7], 8)(contrast, drawn(6, 2, 8))
