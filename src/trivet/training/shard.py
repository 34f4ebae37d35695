"""FSDP2: weights, gradients and optimiser state of a large encoder, split over the ranks.

Zhao et al., "PyTorch FSDP", https://arxiv.org/abs/2304.11277, in its second form. Each layer is
gathered when it computes and let go of afterwards, so a rank holds one layer and its share of the
others. What is saved is whole, and a checkpoint does not depend on the number of ranks.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from trivet.core.ranks import join, world


def sharded(model: nn.Module, device: str) -> nn.Module:
    """A copy whose layers are split over the ranks; the model itself stays whole, on the CPU."""
    join()
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    shared = [getattr(module, "tokenizer", None) for module in model.modules()]
    made = copy.deepcopy(model, {id(one): one for one in shared if one is not None}).to(device)
    mesh = init_device_mesh("cpu" if device == "cpu" else "cuda", (world(),))
    for module in _layers(made):
        fully_shard(module, mesh=mesh)
    fully_shard(made, mesh=mesh)
    return made


def _layers(model: nn.Module) -> list[nn.Module]:
    """The modules of the longest list of modules: an encoder's layers."""
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    return list(max(lists, key=len)) if lists else []


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, on every rank; each must ask for it."""
    made: Any = tensor
    return made.full_tensor() if hasattr(made, "full_tensor") else tensor


def local(tensor: Tensor) -> Tensor:
    """This rank's share of a tensor, without its gradient."""
    made: Any = tensor.detach()
    return made.to_local() if hasattr(made, "to_local") else made


def split_like(tensor: Tensor, model: Tensor) -> Tensor:
    """This rank's share of a whole tensor, split as another one is."""
    like: Any = model
    if not hasattr(like, "device_mesh") or tensor.shape != like.shape:
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements)


@torch.no_grad()
def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Give a whole model the weights of the one that is split; every rank must ask for it."""
    if source is not target:
        found = {name: whole(tensor) for name, tensor in source.state_dict().items()}
        target.load_state_dict(found, strict=True)
