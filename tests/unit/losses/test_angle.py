import cmath
import math

import pytest
import torch

from trivet.core.errors import ConfigError
from trivet.losses.angle import Angle, angle, angle_scores

OFF = {"ibn_w": 0.0, "cln_w": 0.0, "angle_w": 0.0, "cosine_w": 0.0}


def drawn(*shape, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


def brute_angle(left, right):
    """With Python's own complex numbers, as the paper divides them."""
    half = len(left) // 2
    z = [complex(left[i], left[half + i]) for i in range(half)]
    w = [complex(right[i], right[half + i]) for i in range(half)]
    size_z = math.sqrt(sum(abs(x) ** 2 for x in z))
    size_w = math.sqrt(sum(abs(x) ** 2 for x in w))
    products = [x * y.conjugate() / size_w**2 for x, y in zip(z, w, strict=True)]
    quotients = [x / (size_z / size_w) for x in products]
    return abs(sum(x.real + x.imag for x in quotients))


def brute_rank(scores, labels, tau):
    rows = list(zip(scores, labels, strict=True))
    return math.log(1 + sum(math.exp(tau * (s - t)) for s, a in rows for t, b in rows if a < b))


def cosine(left, right):
    return float(left @ right / left.norm() / right.norm())


def brute_contrast(queries, batch, tau):
    total = 0.0
    for i, query in enumerate(queries):
        scores = [math.exp(tau * cosine(query, document)) for document in batch]
        total -= math.log(scores[i] / sum(scores))
    return total / len(queries)


def brute(loss, queries, documents, others):
    positives = [rows[0] for rows in documents]
    negatives = [row for rows in documents for row in rows[1:]]
    further = [] if others is None else list(others)
    pairs = [(q, d, int(j == 0)) for q, rows in zip(queries, documents, strict=True)
             for j, d in enumerate(rows)]  # fmt: skip
    labels = [label for _, _, label in pairs]
    angles = [brute_angle(q.tolist(), d.tolist()) for q, d, _ in pairs]
    cosines = [cosine(q, d) for q, d, _ in pairs]
    contrast = loss.ibn_w * brute_contrast(queries, positives + further, loss.ibn_tau)
    contrast += loss.cln_w * brute_contrast(queries, positives + negatives, loss.ibn_tau)
    ranks = loss.angle_w * brute_rank(angles, labels, loss.angle_tau)
    ranks += loss.cosine_w * brute_rank(cosines, labels, loss.cosine_tau)
    return contrast / 2 + ranks


def test_angle_scores_are_those_of_complex_division():
    left, right = drawn(7, 6), drawn(7, 6, seed=1)
    want = [brute_angle(a, b) for a, b in zip(left.tolist(), right.tolist(), strict=True)]
    assert angle_scores(left, right).tolist() == pytest.approx(want, rel=1e-12)


def test_sentence_transformers_gives_the_same_angle_scores():
    from sentence_transformers.util import pairwise_angle_sim

    left, right = drawn(7, 6), drawn(7, 6, seed=1)
    torch.testing.assert_close(angle_scores(left, right), pairwise_angle_sim(left, right))


def test_one_complex_number_scores_by_the_angle_between_two():
    for turn in (0.0, 0.4, 1.3, 3.0):
        z = cmath.rect(2.0, 0.7 + turn)
        score = angle_scores(torch.tensor([[z.real, z.imag]], dtype=torch.float64),
                             torch.tensor([[math.cos(0.7), math.sin(0.7)]]))  # fmt: skip
        assert score.item() == pytest.approx(abs(math.cos(turn) + math.sin(turn)), abs=1e-6)


def test_the_length_of_a_vector_does_not_count():
    left, right = drawn(5, 4), drawn(5, 4, seed=1)
    torch.testing.assert_close(angle_scores(left * 9, right / 7), angle_scores(left, right))


def test_the_angle_loss_equals_brute_force():
    left, right, labels = drawn(8, 6), drawn(8, 6, seed=1), torch.tensor([3, 1, 2, 0, 3, 1, 0, 2])
    scores = [brute_angle(a, b) for a, b in zip(left.tolist(), right.tolist(), strict=True)]
    want = brute_rank(scores, labels.tolist(), 20.0)
    assert angle(left, right, labels).item() == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("negatives", [1, 3])
@pytest.mark.parametrize("further", [0, 4])
@pytest.mark.parametrize("weights", [{}, {"cosine_w": 0.5, "ibn_w": 0.3, "ibn_tau": 50.0}])
def test_the_sum_equals_brute_force(negatives, further, weights):
    queries, documents = drawn(5, 6), drawn(5, 1 + negatives, 6, seed=1)
    others = drawn(further, 6, seed=2) if further else None
    loss = Angle(**weights)
    want = brute(loss, queries, documents, others)
    assert loss(queries, documents, others).item() == pytest.approx(want, rel=1e-9)


@pytest.mark.parametrize("name", list(OFF))
def test_each_term_alone_equals_brute_force(name):
    queries, documents = drawn(4, 6), drawn(4, 3, 6, seed=1)
    loss = Angle(**{**OFF, name: 0.7})
    assert loss(queries, documents).item() == pytest.approx(brute(loss, queries, documents, None))


def test_pairs_without_negatives_have_the_in_batch_term_alone():
    queries, documents = drawn(4, 6), drawn(4, 1, 6, seed=1)
    alone = Angle(**{**OFF, "ibn_w": 1.0})
    want = brute_contrast(queries, documents[:, 0], 20.0) / 2
    assert alone(queries, documents).item() == pytest.approx(want)
    for name in ("cln_w", "angle_w", "cosine_w"):
        with pytest.raises(ConfigError, match="needs negatives"):
            Angle(**{**OFF, "ibn_w": 1.0, name: 1.0})(queries, documents)


def test_the_gradient_equals_finite_differences():
    queries, documents, others = drawn(2, 4), drawn(2, 3, 4, seed=1), drawn(2, 4, seed=2)
    given = tuple(x.requires_grad_() for x in (queries, documents, others))
    loss = Angle(angle_w=0.5, cosine_w=0.5, ibn_tau=2.0, angle_tau=2.0, cosine_tau=2.0)
    assert torch.autograd.gradcheck(loss, given)


@pytest.mark.parametrize(
    "given, computed",
    [
        (torch.float64, torch.float64),
        (torch.float32, torch.float32),
        (torch.bfloat16, torch.float32),
    ],
)
def test_the_loss_is_computed_in_fp32_or_better(given, computed):
    queries, documents = drawn(6, 8).to(given), drawn(6, 3, 8, seed=1).to(given)
    loss = Angle(cosine_w=1.0)
    found = loss(queries, documents)
    assert found.dtype == computed
    assert found.item() == pytest.approx(
        loss(queries.double(), documents.double()).item(), rel=1e-5
    )


def test_what_cannot_work_is_refused():
    with pytest.raises(ConfigError, match="odd"):
        angle_scores(drawn(2, 5), drawn(2, 5))
    with pytest.raises(ConfigError, match="no term"):
        Angle(**OFF)
    with pytest.raises(ConfigError, match="below 0"):
        Angle(cln_w=-1.0)
    with pytest.raises(ConfigError, match="above 0"):
        Angle(angle_tau=0.0)
