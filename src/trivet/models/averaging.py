"""The weights of several models, averaged into one.

Models that share a beginning often average to one better than each: Wortsman et al., "Model soups",
https://arxiv.org/abs/2203.05482; over the steps of one run, Izmailov et al., "Averaging Weights
Leads to Wider Optima and Better Generalization", https://arxiv.org/abs/1803.05407.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from trivet.core.artifact import MANIFEST
from trivet.core.errors import ArtifactError
from trivet.core.files import read_json, write_bytes
from trivet.core.hashing import file_digest

_SETTINGS = (".json", ".txt", ".model")
_PASSING = {"_name_or_path", "transformers_version", "__version__", "architectures"}
_STATE = "state.json"  # a training checkpoint has one
_OLD = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}  # BERT's


def fingerprint(folder: Path) -> dict[str, str]:
    """The digests of the files that an average reads."""
    _check(folder)
    if _is_checkpoint(folder):
        return {"model.safetensors": file_digest(folder / "model.safetensors")}
    return {name: file_digest(folder / name) for name in [*_settings(folder), *_files(folder)]}


def average(folders: Sequence[Path], weights: Sequence[float], out: Path) -> None:
    """Write the weighted mean of models in sentence-transformers layout into an empty folder.

    A checkpoint of a model's training counts too, beside at least one whole model: all but
    the weights is that of the first whole one. Computed in fp64, kept in the models' own dtype.
    """
    for folder in folders:
        _check(folder)
        _verify(folder)
    whole = [folder for folder in folders if not _is_checkpoint(folder)]
    if not whole:
        fix = "Add a whole model, such as the artifact of that run"
        raise ArtifactError("checkpoints alone have no tokenizer", where=str(folders[0]), fix=fix)
    first = whole[0]
    for other in whole[1:]:
        _compare_settings(first, other)
    for other in folders:
        _compare_names(first, other)
    for name in [*_settings(first), *_files(first)]:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
    for name in _settings(first):
        shutil.copyfile(first / name, out / name)
    for name in _files(first):
        made = {key: _mean(folders, name, key, weights) for key in _names(first, name)}
        write_bytes(out / name, save(made, metadata={"format": "pt"}))


def _mean(folders: Sequence[Path], name: str, key: str, weights: Sequence[float]) -> Tensor:
    """One weight, averaged; what is not a fraction must be the same everywhere."""
    found = [_tensor(folder, name, key) for folder in folders]
    for folder, tensor in zip(folders[1:], found[1:], strict=True):
        facts = [(tuple(t.shape), str(t.dtype).removeprefix("torch.")) for t in (found[0], tensor)]
        if facts[0] != facts[1]:
            ours, theirs = (f"{dtype} {list(shape)}" for shape, dtype in facts)
            raise _differs(folders[0], folder, f"{key} is {ours} here, {theirs} there")
        if not tensor.is_floating_point() and not torch.equal(found[0], tensor):
            raise _differs(folders[0], folder, f"{key} holds other whole numbers")
    if not found[0].is_floating_point():
        return found[0]
    total = torch.zeros(found[0].shape, dtype=torch.float64)
    for tensor, weight in zip(found, weights, strict=True):
        total += tensor.double() * weight
    return (total / sum(weights)).to(found[0].dtype)


def _check(folder: Path) -> None:
    if not folder.is_dir():
        raise ArtifactError("not a folder", where=str(folder))
    if _is_checkpoint(folder):
        return
    if not (folder / "modules.json").is_file():
        what = "no modules.json: neither a sentence-transformers model nor a checkpoint"
        raise ArtifactError(what, where=str(folder))
    if not _files(folder):
        raise ArtifactError("no weights as safetensors", where=str(folder))


def _verify(folder: Path) -> None:
    """What a checkpoint or an artifact says of its files must be true."""
    says = folder / (_STATE if _is_checkpoint(folder) else MANIFEST)
    known = read_json(says).get("files", {}) if says.is_file() else {}
    for name in _files(folder):
        if name in known and file_digest(folder / name) != known[name]:
            raise ArtifactError("was changed", where=str(folder / name), fix="Leave it out")


def _is_checkpoint(folder: Path) -> bool:
    return (folder / _STATE).is_file() and (folder / "model.safetensors").is_file()


def _inside(folder: Path) -> list[str]:
    names = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(n.as_posix() for n in names if not any(part[0] == "." for part in n.parts))


def _settings(folder: Path) -> list[str]:
    names = [name for name in _inside(folder) if name.endswith(_SETTINGS)]
    return [name for name in names if name != MANIFEST and not name.startswith("onnx")]


def _files(folder: Path) -> list[str]:
    return [name for name in _inside(folder) if name.endswith(".safetensors")]


def _tensor(folder: Path, name: str, key: str) -> Tensor:
    if _is_checkpoint(folder):
        name, key = "model.safetensors", _held(folder)[_plain(name, key)]
    with safe_open(folder / name, framework="pt") as stream:
        return stream.get_tensor(key)


def _names(folder: Path, name: str) -> list[str]:
    with safe_open(folder / name, framework="pt") as stream:
        return list(cast("list[str]", stream.keys()))


def _plain(name: str, key: str) -> str:
    """What training calls a weight of a model's file: the encoder's, or a layer's of its head."""
    inside, _, kind = name.partition("/")[0].partition("_")
    if kind == "Dense":
        return f"head.{int(inside) - 1}.{key}"
    for old, new in _OLD.items():
        key = key.replace(old, new)
    return f"encoder.{key}"


def _held(folder: Path) -> dict[str, str]:
    """A checkpoint's weights, by what training calls them; a head that will be dropped is none."""
    names = _names(folder, "model.safetensors")
    wrapped = any(name.startswith("model.encoder.") for name in names)
    kept = [name for name in names if not wrapped or name.startswith("model.")]
    return {name.removeprefix("model.") if wrapped else name: name for name in kept}


def _compare_names(first: Path, other: Path) -> None:
    """The same weights under the same names."""
    ours = {_plain(name, key) for name in _files(first) for key in _names(first, name)}
    if _is_checkpoint(other):
        theirs = set(_held(other))
    else:
        ours = {f"{key} of {name}" for name in _files(first) for key in _names(first, name)}
        theirs = {f"{key} of {name}" for name in _files(other) for key in _names(other, name)}
    for names, where in ((ours - theirs, "here"), (theirs - ours, "there")):
        if names:
            raise _differs(first, other, f"{min(names)} is only {where}")


def _compare_settings(first: Path, other: Path) -> None:
    """The same architecture, tokenizer, pooling, prompts and lengths."""
    ours, theirs = set(_settings(first)), set(_settings(other))
    for names, where in ((ours - theirs, "here"), (theirs - ours, "there")):
        if names:
            raise _differs(first, other, f"{min(names)} is only {where}")
    for name in sorted(ours, key=lambda name: (name.count("/"), name)):  # config.json first
        if file_digest(first / name) == file_digest(other / name):
            continue
        if not name.endswith(".json"):
            raise _differs(first, other, f"{name} is not the same")
        a, b = read_json(first / name), read_json(other / name)
        if not isinstance(a, dict) or not isinstance(b, dict):
            if a != b:
                raise _differs(first, other, f"{name} is not the same")
            continue
        a, b = cast("dict[str, Any]", a), cast("dict[str, Any]", b)
        for key in sorted((a.keys() | b.keys()) - _PASSING):
            if a.get(key) != b.get(key):
                shown = [str(x.get(key)) for x in (a, b)]
                brief = max(map(len, shown)) <= 60
                what = f": {shown[0]} here, {shown[1]} there" if brief else " is not the same"
                raise _differs(first, other, f"{key} of {name}{what}")


def _differs(first: Path, other: Path, what: str) -> ArtifactError:
    fix = "Average models of one architecture, tokenizer and settings"
    return ArtifactError(f"not like {first}: {what}", where=str(other), fix=fix)
