import pytest
import torch

from trivet.core.errors import ConfigError
from trivet.optim.adamw import AdamW, OptimizerConfig


def model_with_shared_weight():
    """Embedding and output share one weight, and a bias is frozen."""
    model = torch.nn.Sequential(
        torch.nn.Embedding(7, 4), torch.nn.LayerNorm(4), torch.nn.Linear(4, 7)
    )
    model[2].weight = model[0].weight
    model[2].bias.requires_grad_(False)
    return model


def test_every_trained_parameter_stands_in_one_group_and_a_frozen_one_in_none():
    model = model_with_shared_weight()
    optimizer = AdamW(lr=1e-3).make(model.named_parameters())
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert len(held) == len(set(held))
    assert set(held) == {id(p) for p in model.parameters() if p.requires_grad}


def test_matrices_are_decayed_and_vectors_are_not():
    model = model_with_shared_weight()
    optimizer = AdamW(lr=1e-3, weight_decay=0.1).make(model.named_parameters())
    decay = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert decay[id(model[0].weight)] == 0.1
    assert decay[id(model[1].weight)] == decay[id(model[1].bias)] == 0.0


def test_a_model_of_vectors_alone_can_be_trained():
    norm = torch.nn.LayerNorm(3)
    optimizer = AdamW(lr=1e-3).make(norm.named_parameters())
    assert [len(group["params"]) for group in optimizer.param_groups] == [2]


def test_a_step_is_that_of_the_paper():
    lr, decay, beta1, beta2, eps = 0.1, 0.3, 0.8, 0.9, 1e-3
    weight = torch.nn.Parameter(torch.tensor([[2.0, -1.0]]))
    config = AdamW(lr=lr, weight_decay=decay, beta1=beta1, beta2=beta2, eps=eps)
    optimizer = config.make([("weight", weight)])
    theta, m, v = weight.detach().double(), torch.zeros(1, 2), torch.zeros(1, 2)
    for step in range(1, 5):
        grad = torch.tensor([[float(step), 0.5]])
        weight.grad = grad.clone()
        optimizer.step()
        m, v = beta1 * m + (1 - beta1) * grad, beta2 * v + (1 - beta2) * grad**2
        update = (m / (1 - beta1**step)) / ((v / (1 - beta2**step)).sqrt() + eps)
        theta = theta - lr * (update + decay * theta)
        assert weight.detach().flatten().tolist() == pytest.approx(
            theta.flatten().tolist(), rel=1e-5
        )


def test_it_is_an_optimizer_config():
    assert isinstance(AdamW(lr=1e-3), OptimizerConfig)


@pytest.mark.parametrize("lr", [0.0, -1e-5])
def test_a_rate_that_cannot_train_is_refused(lr):
    with pytest.raises(ConfigError, match="lr: must be above 0"):
        AdamW(lr=lr)
