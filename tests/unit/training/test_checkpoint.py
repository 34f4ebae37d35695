"""A checkpoint's files are what safetensors reads, and hold nothing of the model twice."""

from __future__ import annotations

import tracemalloc

import torch
from safetensors.torch import load_file
from torch import nn

from trivet.training import checkpoint


class Odd(nn.Module):
    """Tensors of every kind, in an order that is not that of their sizes."""

    def __init__(self) -> None:
        super().__init__()
        for name, tensor in {
            "flags": torch.tensor([True, False, True]),
            "bytes": torch.arange(5, dtype=torch.uint8),
            "low": torch.randn(3, dtype=torch.bfloat16),
            "short": torch.randn(1, 3).half(),
            "steps": torch.tensor(7),
            "turned": torch.randn(4, 3).T,
            "none": torch.zeros(0, 4),
            "whole": torch.randn(2, 2, dtype=torch.float64),
            "numbers": torch.arange(3, dtype=torch.int32),
        }.items():
            self.register_buffer(name, tensor)
        self.weight = nn.Parameter(torch.randn(2, 3))


def test_tensors_of_every_kind_come_back(tmp_path):
    model = Odd()
    model.weight.grad = torch.ones(2, 3)
    optimizer = torch.optim.AdamW(model.parameters())
    optimizer.step()
    checkpoint.write(tmp_path, 3, model, optimizer, {"key": "k"})
    found = checkpoint.read(checkpoint.place(tmp_path, 3))
    read, held = load_file(found.path / "model.safetensors"), model.state_dict()
    assert set(read) == set(held)
    assert all(read[k].dtype == v.dtype and torch.equal(read[k], v) for k, v in held.items())
    other = Odd()
    later = torch.optim.AdamW(other.parameters())
    found.restore(other, later)
    assert torch.equal(other.weight, model.weight) and torch.equal(other.turned, model.turned)
    assert later.state_dict()["state"][0]["step"] == 1.0


def test_the_bytes_are_made_a_tensor_at_a_time(tmp_path):
    model = nn.Sequential(*(nn.Linear(256, 256) for _ in range(16)))  # 4 MiB
    optimizer = torch.optim.AdamW(model.parameters())
    tracemalloc.start()
    checkpoint.write(tmp_path, 1, model, optimizer, {})
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
