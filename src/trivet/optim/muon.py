"""Muon for the matrices of the layers, AdamW for all the rest.

Jordan et al., https://kellerjordan.github.io/posts/muon/: the momentum of a matrix is made
orthogonal before it is added. Two scalings are in use. `original` multiplies by the root of
rows / columns where that is above 1, so an update's root mean square is lr / sqrt(columns); `rms`
(Moonlight, https://arxiv.org/abs/2502.16982) makes it 0.2 x lr, like an AdamW update's. A rate for
one is the same step as 5 x lr / sqrt(columns) for the other.

Every rank steps for itself on averaged gradients: the package's own distributed classes are not
used (0.1.0 pads wrongly and keeps momentum on one rank).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trivet.core.errors import ConfigError
from trivet.core.layers import fast_layers
from trivet.optim.adamw import AdamW
from trivet.optim.schedule import Schedule

_FUSED = {"*Wqkv.weight": 3, "*.Wi.weight": 2}  # ModernBERT's: query, key, value; gate, input
Scaling = Literal["original", "rms"]


@dataclass
class Muon:
    """Which matrix is stepped how. Parameters of one dimension are AdamW's, and not decayed."""

    whole: ClassVar[bool] = True  # it needs whole matrices, so ranks cannot share one (FSDP2)

    lr: float
    """Muon's peak learning rate."""
    adamw: AdamW
    """The rest; how its rate rises and falls is said below."""
    matrices: list[str]
    """Globs of the matrices that Muon steps; each must match something."""
    others: list[str]
    """Globs of the matrices that AdamW steps. Every matrix must match in one of the two lists."""
    momentum: float = 0.95
    """Decay of the gradient's mean."""
    nesterov: bool = True
    """Whether it looks one step ahead."""
    weight_decay: float = 0.0
    """Decay of Muon's matrices, times the learning rate."""
    steps: int = 5
    """Newton-Schulz iterations."""
    scaling: Scaling = "original"
    """`original` or `rms`."""
    split: bool = True
    """Whether matrices that are several ones, stored as one (query, key and value; gate and input),
    are made orthogonal apart."""
    implementation: Literal["muon-optimizer", "torch"] = "muon-optimizer"
    """The package's update, or torch.optim.Muon, which cannot split."""
    schedule: Schedule = field(default_factory=Schedule)
    """How all rates rise and fall."""

    def __post_init__(self) -> None:
        """Refuse what cannot train."""
        if self.lr <= 0:
            raise ConfigError("must be above 0", where="lr", fix="Try lr=1e-3")
        if not 0 <= self.momentum < 1:
            raise ConfigError("must be at least 0 and below 1", where="momentum")
        if self.weight_decay < 0:
            raise ConfigError("must not be negative", where="weight_decay")
        if self.adamw.schedule != Schedule():
            raise ConfigError("is not used", where="adamw.schedule", fix="Set schedule instead")
        if self.steps < 1:
            raise ConfigError("must be at least 1", where="steps")
        if self.split and self.implementation == "torch":
            raise ConfigError("torch.optim.Muon cannot", where="split", fix="Set split=false")

    def make(self, parameters: Iterable[tuple[str, nn.Parameter]]) -> Optimizer:
        """Sort the parameters, and make one optimiser of both."""
        named = [(name, p) for name, p in parameters if p.requires_grad]
        chosen = _sorted(named, self.matrices, self.others)
        groups: list[dict[str, Any]] = []
        settings: dict[str, Any] = {
            "lr": self.lr,
            "momentum": self.momentum,
            "weight_decay": self.weight_decay,
        }
        for blocks in sorted({self._blocks(name) for name, _ in chosen}):
            own = [p for name, p in chosen if self._blocks(name) == blocks]
            groups.append({"params": own, "kind": "muon", "blocks": blocks, **settings})
        taken = {id(p) for _, p in chosen}
        rest = self.adamw.make((name, p) for name, p in named if id(p) not in taken)
        groups += [{**group, "kind": "adamw"} for group in rest.param_groups]
        matrices = [p for _, p in chosen]
        if self.implementation == "torch":
            adjust = "match_rms_adamw" if self.scaling == "rms" else "original"
            inner: Optimizer = torch.optim.Muon(
                matrices,
                nesterov=self.nesterov,
                ns_steps=self.steps,
                adjust_lr_fn=adjust,
                **settings,
            )
            groups = [{**inner.defaults, **g} if g["kind"] == "muon" else g for g in groups]
        else:
            inner = _packaged(matrices, self.nesterov, self.steps, self.scaling)
        return _Both(groups, {"muon": inner, "adamw": rest})

    def _blocks(self, name: str) -> int:
        if not self.split:
            return 1
        return next((n for glob, n in _FUSED.items() if fnmatchcase(name, glob)), 1)


class _Both(Optimizer):
    """Two optimisers that look like one: each steps its own groups, on one state."""

    def __init__(self, groups: list[dict[str, Any]], inner: dict[str, Optimizer]) -> None:
        super().__init__(groups, {})
        self.inner = inner

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Step both; a closure is called first, as torch's optimisers do."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for kind, one in self.inner.items():
            one.state = self.state
            one.param_groups = [group for group in self.param_groups if group["kind"] == kind]
            with fast_layers():  # Newton-Schulz is in bf16, whatever the model's precision
                one.step()
        return loss


def _packaged(matrices: list[nn.Parameter], nesterov: bool, steps: int, scaling: Scaling) -> Any:
    """The package's Muon for one device, with blocks and either scaling."""
    from muon import SingleDeviceMuon, muon_update

    class Blocks(SingleDeviceMuon):
        @torch.no_grad()
        def step(self) -> None:
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    state = self.state[p]
                    if not state:
                        state["momentum_buffer"] = torch.zeros_like(p)
                    parts = (
                        t.chunk(group["blocks"]) for t in (p, p.grad, state["momentum_buffer"])
                    )
                    for part, grad, momentum in zip(*parts, strict=True):
                        update = muon_update(
                            grad,
                            momentum,
                            beta=group["momentum"],
                            ns_steps=steps,
                            nesterov=nesterov,
                        )
                        part.mul_(1 - group["lr"] * group["weight_decay"])
                        part.add_(update, alpha=-group["lr"] * _factor(update, scaling))

    return Blocks(matrices)


def _factor(update: Tensor, scaling: Scaling) -> float:
    """From the package's own scaling to the one asked for."""
    rows, columns = update.shape
    if scaling == "original":
        return 1.0
    return 0.2 * max(rows, columns) ** 0.5 / max(1.0, rows / columns) ** 0.5


def _sorted(
    named: list[tuple[str, nn.Parameter]], matrices: list[str], others: list[str]
) -> list[tuple[str, nn.Parameter]]:
    """Muon's matrices; every one must have exactly one optimiser, every glob a match."""
    unused = {("matrices", glob) for glob in matrices} | {("others", glob) for glob in others}
    chosen: list[tuple[str, nn.Parameter]] = []
    for name, parameter in named:
        if parameter.ndim != 2:
            continue
        hits = [(where, glob) for where, globs in (("matrices", matrices), ("others", others))
                for glob in globs if fnmatchcase(name, glob)]  # fmt: skip
        lists = {where for where, _ in hits}
        if len(lists) != 1:
            what = f"{name} is in both lists" if lists else f"{name} is in neither list"
            raise ConfigError(what, where="matrices, others", fix="Name it in exactly one of them")
        unused -= set(hits)
        if "matrices" in lists:
            chosen.append((name, parameter))
    for where, glob in sorted(unused):
        raise ConfigError(
            f"{glob} matches no matrix", where=where, fix="Correct it, or take it out"
        )
    if not chosen:
        raise ConfigError("names nothing for Muon", where="matrices", fix="Use optim: adamw")
    return chosen
