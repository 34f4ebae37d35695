import math

import pytest
import torch

from trivet.losses.l2 import L2, l2


def drawn(rows=5, dim=4):
    draw = torch.Generator().manual_seed(rows)
    return [torch.randn(rows, dim, generator=draw, dtype=torch.float64) for _ in range(2)]


@pytest.mark.parametrize("squared", [False, True])
def test_the_loss_equals_brute_force(squared):
    student, teacher = drawn()
    total = 0.0
    for mine, theirs in zip(student.tolist(), teacher.tolist(), strict=True):
        apart = sum((a - b) ** 2 for a, b in zip(mine, theirs, strict=True))
        total += apart if squared else math.sqrt(apart)
    assert l2(student, teacher, squared=squared).item() == pytest.approx(total / 5, rel=1e-12)
    assert torch.equal(L2(squared)(student, teacher), l2(student, teacher, squared=squared))


@pytest.mark.parametrize("squared", [False, True])
def test_the_gradient_equals_finite_differences(squared):
    student, teacher = (x.requires_grad_() for x in drawn(3))
    assert torch.autograd.gradcheck(lambda s, t: l2(s, t, squared=squared), (student, teacher))


@pytest.mark.parametrize("squared", [False, True])
def test_a_student_that_is_its_teacher_has_no_loss_and_a_finite_gradient(squared):
    student, _ = drawn()
    student.requires_grad_()
    loss = l2(student, student.detach(), squared=squared)
    loss.backward()
    assert loss.item() == 0.0
    assert student.grad is not None and not student.grad.any()


@pytest.mark.parametrize(
    "given, computed",
    [
        (torch.float64, torch.float64),
        (torch.float32, torch.float32),
        (torch.float16, torch.float32),
    ],
)
def test_the_loss_is_computed_in_fp32_or_better(given, computed):
    student, teacher = (x.to(given) for x in drawn())
    loss = l2(student, teacher, squared=True)
    assert loss.dtype == computed
    want = l2(student.double(), teacher.double(), squared=True)
    assert loss.item() == pytest.approx(want.item(), rel=1e-5)
