import itertools

import pytest
import torch

from trivet.core.errors import ConfigError
from trivet.losses.stella import Stella, cosine, relative_ranking, similarity


def drawn(rows=6, dim=5, other=5):
    draw = torch.Generator().manual_seed(rows)
    return [torch.randn(rows, d, generator=draw, dtype=torch.float64) for d in (dim, other)]


def cosines(vectors):
    unit = [v / v.norm() for v in vectors]
    return [[float(a @ b) for b in unit] for a in unit]


def brute_ranking(student, teacher, margin):
    mine, theirs = cosines(student), cosines(teacher)
    pairs = list(itertools.combinations(range(len(mine)), 2))
    total, count = 0.0, 0
    for (i, j), (m, n) in itertools.combinations(pairs, 2):
        count += 1
        if theirs[i][j] > theirs[m][n]:
            total += max(0.0, mine[m][n] - mine[i][j] + margin)
        elif theirs[i][j] < theirs[m][n]:
            total += max(0.0, mine[i][j] - mine[m][n] + margin)
    return total / count


@pytest.mark.parametrize("block", [1, 7, 40, 1 << 22])
def test_the_order_equals_brute_force_whatever_the_block(block):
    student, teacher = drawn(other=3)
    found = relative_ranking(student, teacher, margin=0.1, block=block)
    assert found.item() == pytest.approx(brute_ranking(student, teacher, 0.1), rel=1e-9)


def test_pairs_that_the_teacher_finds_equally_close_ask_nothing():
    student, _ = drawn(4)
    teacher = torch.eye(4, dtype=torch.float64)  # every two texts are as close as any other two
    assert relative_ranking(student, teacher, margin=0.1).item() == 0.0
    teacher[1] = teacher[0]  # now one pair is closer than the other five
    found = relative_ranking(student, teacher, margin=0.1, block=3)
    assert found.item() == pytest.approx(brute_ranking(student, teacher, 0.1), rel=1e-9)
    assert found.item() > 0


@pytest.mark.parametrize("block", [5, 1 << 22])
def test_the_gradient_of_the_order_equals_finite_differences(block):
    student, teacher = drawn(5)
    student.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda s: 3 * relative_ranking(s, teacher, margin=0.1, block=block), (student,)
    )


def test_the_order_holds_no_more_than_its_blocks():
    student, teacher = (x.float().requires_grad_() for x in drawn(40))  # 304,590 comparisons
    held = []

    def pack(tensor):
        held.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        relative_ranking(student, teacher, margin=0.1, block=4096)
    assert max(held) <= 40 * 40


def test_the_other_two_equal_brute_force():
    student, teacher = drawn()
    mine, theirs = cosines(student), cosines(teacher)
    own = [float(s @ t / s.norm() / t.norm()) for s, t in zip(student, teacher, strict=True)]
    assert cosine(student, teacher).item() == pytest.approx(1 - sum(own) / 6, rel=1e-9)
    apart = [(mine[i][j] - theirs[i][j]) ** 2 for i in range(6) for j in range(6)]
    assert similarity(student, teacher).item() == pytest.approx(sum(apart) / 36, rel=1e-9)


@pytest.mark.parametrize("dims", [None, [2, 5]])
def test_the_whole_is_the_weighted_sum_over_the_sizes(dims):
    student, teacher = drawn()
    want = 10 * cosine(student, teacher).item()
    for dim in dims or [5]:
        short = student[:, :dim]
        want += 200 * similarity(short, teacher).item() / len(dims or [5])
        want += 20 * brute_ranking(short, teacher, 0.015) / len(dims or [5])
    assert Stella(dims=dims)(student, teacher).item() == pytest.approx(want, rel=1e-9)


def test_the_gradient_of_the_whole_equals_finite_differences():
    student, teacher = drawn(4)
    student.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: Stella(dims=[3, 5])(s, teacher), (student,))


def test_a_student_that_is_its_teacher_has_only_the_margin_left():
    student, _ = drawn()
    assert Stella(margin=0.0)(student, student).item() == pytest.approx(0.0, abs=1e-12)
    assert Stella()(student, student).item() > 0


@pytest.mark.parametrize("given", [torch.float64, torch.float32, torch.float16])
def test_the_loss_is_computed_in_fp32_or_better(given):
    student, teacher = (x.to(given) for x in drawn())
    loss = Stella()(student, teacher)
    assert loss.dtype == torch.promote_types(given, torch.float32)
    want = Stella()(student.double(), teacher.double())
    assert loss.item() == pytest.approx(want.item(), rel=1e-4)


@pytest.mark.parametrize("fields", [{"cosine": -1.0}, {"margin": -0.1}, {"dims": []}])
def test_settings_that_cannot_be_are_refused(fields):
    with pytest.raises(ConfigError):
        Stella(**fields)


def test_more_dimensions_than_there_are_is_refused():
    with pytest.raises(ConfigError, match="5 dimensions, not 9"):
        Stella(dims=[9])(*drawn())
