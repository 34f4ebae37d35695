import json

import pytest
import torch
from muon import muon_update
from torch import nn

from trivet.core.errors import ConfigError
from trivet.optim.adamw import AdamW
from trivet.optim.muon import Muon
from trivet.optim.schedule import Schedule
from trivet.training import checkpoint


class Net(nn.Module):
    """Names as ModernBERT has them."""

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.embeddings = nn.Embedding(11, 8)
        self.layers = nn.ModuleList([nn.Module()])
        self.layers[0].Wqkv = nn.Linear(8, 24)
        self.layers[0].Wo = nn.Linear(24, 8)
        self.head = nn.ModuleList([nn.Linear(8, 8, bias=False)])

    def loss(self, seed):
        draw = torch.Generator().manual_seed(seed)
        ids = torch.randint(11, (64,), generator=draw)
        return (
            self.head[0](self.layers[0].Wo(self.layers[0].Wqkv(self.embeddings(ids)).sin()))
            .square()
            .sum()
        )


def muon(**options):
    given = {"lr": 0.02, "adamw": AdamW(1e-3), "matrices": ["*layers.*"],
             "others": ["*embeddings*", "head.*"]}  # fmt: skip
    return Muon(**(given | options))


def trained(net, optimizer, steps, first=0):
    for step in range(first, first + steps):
        optimizer.zero_grad()
        net.loss(step).backward()
        optimizer.step()
    return dict(net.named_parameters())


def test_each_matrix_has_one_optimiser_and_the_rest_is_adamws_own():
    net, twin = Net(), Net()
    got = trained(net, muon().make(net.named_parameters()), 3)
    rest = [(n, p) for n, p in twin.named_parameters() if "layers" not in n or "bias" in n]
    adamw, others = AdamW(1e-3).make(rest), dict(twin.named_parameters())
    buffers = {n: torch.zeros_like(p) for n, p in others.items()}
    for step in range(3):
        twin.zero_grad()
        twin.loss(step).backward()
        adamw.step()
        with torch.no_grad():
            for name, blocks in (("layers.0.Wqkv.weight", 3), ("layers.0.Wo.weight", 1)):
                p = others[name]
                parts = (tensor.chunk(blocks) for tensor in (p, p.grad, buffers[name]))
                for part, grad, buffer in zip(*parts, strict=True):
                    part.add_(muon_update(grad, buffer), alpha=-0.02)
    for name, parameter in others.items():
        torch.testing.assert_close(got[name], parameter, msg=name, atol=1e-6, rtol=0)


def test_query_key_and_value_are_made_orthogonal_apart():
    apart, joint = Net(), Net()
    a = trained(apart, muon().make(apart.named_parameters()), 1)
    b = trained(joint, muon(split=False).make(joint.named_parameters()), 1)
    assert not torch.allclose(a["layers.0.Wqkv.weight"], b["layers.0.Wqkv.weight"], atol=1e-3)
    torch.testing.assert_close(a["layers.0.Wo.weight"], b["layers.0.Wo.weight"])


@pytest.mark.parametrize("scaling", ["original", "rms"])
def test_the_package_and_torch_take_equal_steps(scaling):
    made = []
    for implementation in ("muon-optimizer", "torch"):
        net = Net()
        options = {"split": False, "implementation": implementation, "scaling": scaling}
        optimizer = muon(**options).make(net.named_parameters())
        draw = torch.Generator().manual_seed(0)
        for parameter in net.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=draw)
        optimizer.step()
        made.append(dict(net.named_parameters()))
    start = dict(Net().named_parameters())
    for name, parameter in made[0].items():
        moved = (parameter - start[name]).norm()  # in bf16, rounded in another order: about 5%
        assert moved > 0 and (made[1][name] - parameter).norm() < 0.1 * moved, name


def test_a_rate_can_be_told_in_the_other_scaling():
    """An update's root mean square: lr / sqrt(columns), or 0.2 lr."""
    for scaling, lr in (("original", 0.02), ("rms", 5 * 0.02 / 24**0.5)):
        net = Net()
        before = net.layers[0].Wo.weight.detach().clone()
        trained(net, muon(scaling=scaling, lr=lr).make(net.named_parameters()), 1)
        size = (net.layers[0].Wo.weight.detach() - before).square().mean().sqrt()
        assert float(size) == pytest.approx(0.02 / 24**0.5, rel=0.25)  # orthogonal but roughly


@pytest.mark.parametrize("implementation", ["muon-optimizer", "torch"])
def test_a_run_that_goes_on_from_a_checkpoint_ends_with_the_same_bits(tmp_path, implementation):
    options = {"implementation": implementation, "split": implementation != "torch"}
    net = Net()
    whole = trained(net, muon(**options).make(net.named_parameters()), 5)
    net = Net()
    optimizer = muon(**options).make(net.named_parameters())
    trained(net, optimizer, 2)
    checkpoint.write(tmp_path, 2, net, optimizer, {"key": "k"})
    net = Net(seed=9)
    optimizer = muon(**options).make(net.named_parameters())
    checkpoint.newest(tmp_path).restore(net, optimizer)
    for name, parameter in trained(net, optimizer, 3, first=2).items():
        assert torch.equal(parameter, whole[name]), name


def test_it_steps_through_a_closure_a_schedule_and_missing_gradients():
    net = Net()
    optimizer = muon().make(net.named_parameters())
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
    net.loss(0).backward()
    net.layers[0].Wo.weight.grad = None
    before = net.layers[0].Wo.weight.detach().clone()
    assert optimizer.step(lambda: 7) == 7
    rates.step()
    assert torch.equal(net.layers[0].Wo.weight, before)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx(
        [0.01] * 2 + [5e-4] * 2
    )
    json.dumps(optimizer.state_dict()["param_groups"])  # as checkpoints keep them


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"matrices": ["*layers.*", "*nothing*"]}, r"\*nothing\* matches no matrix"),
        ({"others": ["*embeddings*"]}, r"head\.0\.weight is in neither list"),
        ({"others": ["*embeddings*", "*head*", "*Wo*"]}, r"Wo\.weight is in both lists"),
        ({"matrices": [], "others": ["*"]}, "names nothing for Muon"),
        ({"implementation": "torch"}, "torch.optim.Muon cannot"),
        ({"lr": 0.0}, "lr: must be above 0"),
        ({"adamw": AdamW(1e-3, schedule=Schedule("constant"))}, "Set schedule instead"),
    ],
)
def test_what_cannot_be_is_refused(options, match):
    with pytest.raises(ConfigError, match=match):
        muon(**options).make(Net().named_parameters())
