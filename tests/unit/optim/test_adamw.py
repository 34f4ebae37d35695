import pytest
import torch

from trivet.core.errors import ConfigError
from trivet.optim.adamw import AdamW
from trivet.optim.schedule import Schedule


def test_every_trained_parameter_stands_in_one_group_and_vectors_are_not_decayed():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4))
    model[0].bias.requires_grad_(False)
    optimizer = AdamW(lr=1e-3, weight_decay=0.1).make(model.named_parameters())
    decay = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert decay == {id(model[0].weight): 0.1, id(model[1].weight): 0.0, id(model[1].bias): 0.0}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 3


@pytest.mark.parametrize("shape", ["constant", "linear", "cosine", "inverse_sqrt", "wsd"])
def test_a_schedule_rises_to_the_peak_and_never_passes_it(shape):
    schedule = Schedule(shape, warmup=10, floor=0.1)
    factors = [schedule.factor(step, 100) for step in range(101)]
    assert factors[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert max(factors) == pytest.approx(1.0)
    assert all(a >= b - 1e-12 for a, b in zip(factors[10:], factors[11:], strict=False))
    if shape in ("linear", "cosine", "wsd"):
        assert factors[100] == pytest.approx(0.1)


def test_wsd_stays_at_the_peak_until_its_decay():
    schedule = Schedule("wsd", decay=0.2)
    assert schedule.factor(79, 100) == 1.0 and schedule.factor(90, 100) == pytest.approx(0.5)


def test_a_share_of_warmup_is_of_all_steps():
    assert Schedule(warmup=0.1).factor(4, 100) == pytest.approx(0.5)


def test_a_rate_that_cannot_train_is_refused():
    with pytest.raises(ConfigError, match="lr"):
        AdamW(lr=0.0)
