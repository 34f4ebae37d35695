import math

import pytest
import torch

from trivet.core.errors import ConfigError
from trivet.losses.cosent import Cosent, cosent


def drawn(count, levels, seed=0):
    draw = torch.Generator().manual_seed(seed)
    scores = torch.rand(count, generator=draw, dtype=torch.float64) * 2 - 1
    return scores, torch.randint(0, levels, (count,), generator=draw)


def brute(scores, labels, tau):
    pairs = zip(scores.tolist(), labels.tolist(), strict=True)
    rows = list(pairs)
    return math.log(1 + sum(math.exp(tau * (s - t)) for s, a in rows for t, b in rows if a < b))


@pytest.mark.parametrize("levels", [2, 5])
@pytest.mark.parametrize("cells", [1, 24, 10_000])
def test_the_loss_equals_brute_force_however_it_is_streamed(levels, cells):
    scores, labels = drawn(12, levels)
    mine = cosent(scores, labels, tau=20.0, cells=cells)
    assert mine.item() == pytest.approx(brute(scores, labels, 20.0), rel=1e-12)


def test_sentence_transformers_gives_the_same_loss():
    from sentence_transformers.losses import CoSENTLoss

    scores, labels = drawn(9, 4)

    class Given(CoSENTLoss):
        def __init__(self):
            torch.nn.Module.__init__(self)
            self.scale, self.similarity_fct = 20.0, lambda a, b: a

    theirs = Given().compute_loss_from_embeddings([scores, scores], labels.double())
    torch.testing.assert_close(cosent(scores, labels), theirs)


@pytest.mark.parametrize("cells", [7, 10_000])
def test_the_gradient_equals_finite_differences(cells):
    scores, labels = drawn(7, 3)
    scores.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: cosent(s, labels, tau=3.0, cells=cells), scores)


def test_equal_labels_rank_nothing_and_pull_nowhere():
    scores = drawn(6, 2)[0].requires_grad_()
    loss = cosent(scores, torch.ones(6), cells=6)
    loss.backward()
    assert loss.item() == 0.0
    assert scores.grad is not None and scores.grad.tolist() == [0.0] * 6


def test_only_the_order_of_labels_counts():
    scores, labels = drawn(10, 4)
    assert torch.equal(cosent(scores, labels), cosent(scores, labels.double() ** 3 * 7 - 2))


def test_raising_a_score_with_the_top_label_lowers_the_loss():
    scores, labels = drawn(10, 4)
    higher = scores.clone()
    higher[labels.argmax()] += 0.1
    assert cosent(higher, labels) < cosent(scores, labels)


def test_no_matrix_of_all_pairs_is_kept_for_the_backward_pass():
    scores, labels = drawn(512, 5)
    kept = 0

    def pack(tensor):
        nonlocal kept
        kept = max(kept, tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        cosent(scores.requires_grad_(), labels, cells=512 * 8)
    assert kept <= 512 * 8


@pytest.mark.parametrize(
    "given, computed",
    [
        (torch.float64, torch.float64),
        (torch.float32, torch.float32),
        (torch.bfloat16, torch.float32),
    ],
)
def test_the_loss_is_computed_in_fp32_or_better(given, computed):
    scores, labels = drawn(20, 3)
    scores = scores.to(given)
    loss = cosent(scores, labels)
    assert loss.dtype == computed
    assert loss.item() == pytest.approx(cosent(scores.double(), labels).item(), rel=1e-5)


def test_the_config_is_the_function_and_refuses_a_scale_that_does_not_order():
    scores, labels = drawn(8, 3)
    assert torch.equal(Cosent(tau=5.0)(scores, labels), cosent(scores, labels, tau=5.0))
    with pytest.raises(ConfigError, match="above 0"):
        Cosent(tau=0.0)
