import pytest
import torch

from trivet.core.errors import ConfigError
from trivet.losses.contrast import contrast
from trivet.losses.kl import KL, Side, scaled
from trivet.losses.margin_mse import MarginMSE

DRAW = torch.Generator().manual_seed(0)
STUDENT, TEACHER = (torch.randn(3, 5, generator=DRAW, dtype=torch.float64) for _ in range(2))


def by_hand(student, teacher, temperatures):
    total = 0.0
    for row in range(3):
        q = torch.softmax(student[row] / temperatures[0], 0)
        p = torch.softmax(teacher[row] / temperatures[1], 0)
        total += sum(float(p[i] * torch.log(p[i] / q[i])) for i in range(5))
    return total / 3


@pytest.mark.parametrize("scale", ["none", "minmax", "z"])
def test_it_is_the_divergence_of_the_shares(scale):
    loss = KL(Side(scale, 0.5), Side("none", 2.0))
    expected = by_hand(scaled(STUDENT, scale), TEACHER, (0.5, 2.0))
    assert float(loss(STUDENT, TEACHER)) == pytest.approx(expected, abs=1e-12)


def test_scales_are_within_a_query_and_equal_scores_have_one():
    assert scaled(STUDENT, "minmax").amax(1).tolist() == pytest.approx([1, 1, 1], abs=1e-6)
    assert scaled(STUDENT, "minmax").amin(1).tolist() == [0, 0, 0]
    assert scaled(STUDENT, "z").mean(1).abs().max() < 1e-9
    same = torch.full((2, 4), 3.0, requires_grad=True)
    for scale in ("minmax", "z"):
        found = scaled(same, scale)
        found.sum().backward()
        assert found.abs().max() == 0 and bool(same.grad.isfinite().all())


def test_a_student_that_is_its_teacher_has_nothing_to_learn():
    student = STUDENT.clone().requires_grad_()
    loss = KL(Side("minmax"), Side("minmax"))(student, 7 * STUDENT + 3)
    loss.backward()
    assert abs(loss.item()) < 1e-9 and student.grad.abs().max() < 1e-9


@pytest.mark.parametrize("loss", [KL(Side("z", 0.3), Side("minmax", 2.0)), MarginMSE()])
def test_gradients_equal_finite_differences(loss):
    student = STUDENT.clone().requires_grad_()
    torch.autograd.gradcheck(lambda s: loss(s, TEACHER), student)


def test_margins_are_against_the_first_document():
    wanted = [
        float(((STUDENT[i, 0] - STUDENT[i, j]) - (TEACHER[i, 0] - TEACHER[i, j])) ** 2)
        for i in range(3)
        for j in range(1, 5)
    ]
    assert float(MarginMSE()(STUDENT, TEACHER)) == pytest.approx(sum(wanted) / 12)
    assert float(MarginMSE()(TEACHER + 5, TEACHER)) == pytest.approx(0, abs=1e-12)


def test_contrast_leaves_out_known_answers_but_never_the_positive():
    positives = torch.tensor([0, 1, 2])
    excluded = (torch.tensor([0, 1]), torch.tensor([4, 1]))
    found = contrast(STUDENT, positives, temperature=0.5, excluded=excluded)
    wanted = 0.0
    for row in range(3):
        kept = [j for j in range(5) if (row, j) != (0, 4)]
        scores = STUDENT[row] / 0.5
        wanted += float(torch.logsumexp(scores[kept], 0) - scores[row])
    assert float(found) == pytest.approx(wanted / 3)


def test_a_temperature_must_order():
    with pytest.raises(ConfigError, match="temperature"):
        Side("none", 0.0)
