"""Checkpoints that are whole, exact and never unpickled.

A checkpoint is a folder of safetensors and one JSON file, written aside, synced and renamed last:
a run killed at any byte finds its previous checkpoint. Equal states give equal bytes, which is how
the tests compare a resumed run with an unbroken one.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim import Optimizer

from trivet.core.errors import ArtifactError, TrivetError
from trivet.core.files import read_json, whole_folder, write_json, write_pieces
from trivet.core.hashing import tree_digests
from trivet.core.ranks import first
from trivet.training.shard import split_like, whole

log = logging.getLogger("trivet")
STATE = "state.json"
_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


@dataclass(frozen=True)
class Checkpoint:
    """A finished checkpoint: its folder and what its state.json says."""

    path: Path
    state: dict[str, Any]

    @property
    def step(self) -> int:
        """The number of optimiser steps done."""
        return int(self.state["step"])

    def restore(self, model: nn.Module, optimizer: Optimizer | None = None) -> None:
        """Put the weights back, and with an optimiser also its state."""
        held = model.state_dict()
        found = load_file(self.path / "model.safetensors")
        found = {k: split_like(v, held[k]) if k in held else v for k, v in found.items()}
        model.load_state_dict(found, strict=True)
        if optimizer is None:
            return
        state = _join_state(load_file(self.path / "optimizer.safetensors"), self.state["optimizer"])
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        for index, entries in state["state"].items():
            for name, value in entries.items():
                if isinstance(value, Tensor):
                    entries[name] = split_like(value, weights[index])
        optimizer.load_state_dict(state)


def place(folder: Path, step: int) -> Path:
    """Where a step's checkpoint lies."""
    return folder / f"step-{step:08d}"


def write(
    folder: Path, step: int, model: nn.Module, optimizer: Optimizer, extra: dict[str, Any]
) -> None:
    """Save weights and optimiser. What a step draws follows from its number.

    Every rank must call it, for each may hold a share; the first one writes.
    """
    tensors, groups = _split_state(optimizer)
    weights = {name: whole(tensor) for name, tensor in model.state_dict().items()}
    if not first():
        return
    with whole_folder(place(folder, step)) as aside:
        for name, part in (("model", weights), ("optimizer", tensors)):
            write_pieces(aside / f"{name}.safetensors", _pieces(part))
        state = {"step": step, "optimizer": groups, "files": tree_digests(aside)}
        write_json(aside / STATE, {**state, **extra})


def newest(folder: Path) -> Checkpoint | None:
    """The last checkpoint that is whole; one that was damaged is passed over with a warning."""
    for path in sorted(folder.glob("step-*"), reverse=True):
        try:
            return read(path)
        except (ArtifactError, SafetensorError) as error:
            log.warning("a damaged checkpoint is passed over: %s", error)
    return None


def read(path: Path) -> Checkpoint:
    """Open a checkpoint and verify its files."""
    if not (path / STATE).is_file():
        raise ArtifactError("no state.json: not a checkpoint", where=str(path))
    try:
        state = read_json(path / STATE)
        files = state["files"]
    except (TrivetError, LookupError, TypeError) as error:
        raise ArtifactError("state.json is damaged", where=str(path)) from error
    if tree_digests(path, skip=[STATE]) != files:
        raise ArtifactError("a file is missing or was changed", where=str(path))
    return Checkpoint(path, state)


def set_aside(folder: Path, after: int) -> None:
    """Rename damaged checkpoints after a step: they must not count among those to keep."""
    for path in folder.glob("step-*"):
        if path.name > place(folder, after).name:
            path.replace(path.with_name(f"damaged-{path.name}"))


def rotate(folder: Path, keep: int, also: int | None = None) -> None:
    """Delete all but the newest checkpoints, and the step named besides."""
    for path in folder.glob("damaged-*"):
        shutil.rmtree(path)
    paths = sorted(folder.glob("step-*"))
    for path in paths[: max(0, len(paths) - keep)]:
        if also is None or path != place(folder, also):
            shutil.rmtree(path)


def _pieces(tensors: dict[str, Tensor]) -> Iterator[bytes | memoryview]:
    """A safetensors file a tensor at a time, for the library's `save` holds all of it twice."""
    order = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))
    header: dict[str, Any] = {}
    end = 0
    for name, tensor in order:
        start, end = end, end + tensor.nbytes
        places = {"shape": list(tensor.shape), "data_offsets": [start, end]}
        header[name] = {"dtype": _DTYPES[tensor.dtype], **places}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # so that tensors begin at whole words
    yield len(text).to_bytes(8, "little") + text
    for _, tensor in order:
        flat = tensor.detach().cpu().contiguous().flatten()
        yield memoryview(cast(Any, flat.view(torch.uint8).numpy()))


def _split_state(optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimiser's state as named tensors and as JSON."""
    state = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    scalars: dict[str, dict[str, Any]] = {}
    for index, entries in state["state"].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{name}"] = whole(value)
            else:
                scalars.setdefault(str(index), {})[name] = value
    return tensors, {"groups": state["param_groups"], "scalars": scalars}


def _join_state(tensors: dict[str, Tensor], rest: dict[str, Any]) -> dict[str, Any]:
    state: dict[int, dict[str, Any]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    for index, entries in rest["scalars"].items():
        state.setdefault(int(index), {}).update(entries)
    groups = [
        {k: tuple(v) if k == "betas" else v for k, v in group.items()} for group in rest["groups"]
    ]
    return {"state": state, "param_groups": groups}
