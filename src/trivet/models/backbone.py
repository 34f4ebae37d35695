"""Where an encoder comes from: a hub id, a folder, an installed package, or random numbers."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerBase

from trivet.core.errors import ConfigError
from trivet.core.hashing import file_digest, tree_digests
from trivet.core.hub import hub_model
from trivet.core.places import asset
from trivet.core.schema import unkeyed
from trivet.models.attention import NAME as ATTENTION
from trivet.models.loading import load_both, load_tokenizer, without_pooler


@runtime_checkable
class Backbone(Protocol):
    """Makes an encoder and its tokenizer."""

    def load(self) -> tuple[Any, PreTrainedTokenizerBase]:
        """The encoder in fp32, and a fast tokenizer."""
        ...

    def fingerprint(self) -> Any:
        """What decides the weights that are loaded."""
        ...


@dataclass
class Pretrained:
    """A pretrained encoder, from exactly one of a hub id, a folder or an installed package."""

    hub: str | None = unkeyed(None)
    """A repository on the Hugging Face hub."""
    revision: str = unkeyed("main")
    """The hub revision; a commit hash pins it."""
    path: str | None = unkeyed(None)
    """A local folder."""
    package: str | None = unkeyed(None)
    """`module:folder`: a folder inside an installed Python package that ships a model."""
    checksums: dict[str, str] = unkeyed(factory=dict)
    """sha256 by file name; a file that differs is refused."""
    layers: int | None = None
    """Keep only the first so many layers."""

    def __post_init__(self) -> None:
        """Exactly one origin."""
        if sum(origin is not None for origin in (self.hub, self.path, self.package)) != 1:
            raise ConfigError("give exactly one of hub, path and package")

    def folder(self) -> Path:
        """The local folder, downloaded if need be, its checksums verified."""
        if self.path is not None:
            folder = Path(self.path).expanduser()
            if not folder.is_dir():
                raise ConfigError(f"{folder} is not a folder", where="path")
        elif self.package is not None:
            folder = package_folder(self.package)
        else:
            folder = hub_model(str(self.hub), self.revision)
        for name, digest in self.checksums.items():
            if not (folder / name).is_file() or file_digest(folder / name) != digest:
                raise ConfigError(f"{name} has not the checksum expected", where=str(folder))
        return folder

    def fingerprint(self) -> Any:
        """The digests of the files that are loaded."""
        digests = tree_digests(self.folder())
        return {
            name: digest
            for name, digest in digests.items()
            if name.endswith(("config.json", ".safetensors", "tokenizer.json", "vocab.txt"))
        }

    def load(self) -> tuple[Any, PreTrainedTokenizerBase]:
        """Read the encoder and keep its first layers."""
        encoder, tokenizer = load_both(self.folder())
        if self.layers is not None:
            keep_layers(encoder, self.layers)
        return encoder, tokenizer


@dataclass
class Fresh:
    """Random weights in a known shape. `seed` is its own, so that stages can vary theirs."""

    architecture: dict[str, Any]
    """A Hugging Face config: model_type and its fields."""
    tokenizer: str = unkeyed("bert-base-uncased")
    """A tokenizer that ships with trivet, a local folder, or a hub id."""
    revision: str = unkeyed("main")
    """The tokenizer's hub revision."""
    seed: int = 0
    """Draws the weights."""
    _found: dict[str, Path] = field(default_factory=dict[str, Path], init=False, repr=False)

    def fingerprint(self) -> Any:
        """The digest of the tokenizer."""
        return tree_digests(self._tokenizer_folder()).get("tokenizer.json", "")

    def load(self) -> tuple[Any, PreTrainedTokenizerBase]:
        """Draw the weights, without moving the run's own generators."""
        tokenizer = load_tokenizer(self._tokenizer_folder())
        fields = dict(self.architecture)
        try:
            config = AutoConfig.for_model(fields.pop("model_type"), **fields)
        except (KeyError, ValueError) as error:
            raise ConfigError(f"not a model_type: {error}", where="architecture") from None
        if len(tokenizer) > config.vocab_size:
            raise ConfigError(
                f"vocab_size {config.vocab_size} is below the tokenizer's {len(tokenizer)}",
                where="architecture",
                fix=f"Set architecture.vocab_size={len(tokenizer)}",
            )
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            encoder = AutoModel.from_config(config, attn_implementation=ATTENTION)
        return without_pooler(encoder.float()), tokenizer

    def _tokenizer_folder(self) -> Path:
        if self.tokenizer not in self._found:
            shipped, local = asset(f"tokenizers/{self.tokenizer}"), Path(self.tokenizer)
            found = next((folder for folder in (shipped, local) if folder.is_dir()), None)
            self._found[self.tokenizer] = found or hub_model(self.tokenizer, self.revision)
        return self._found[self.tokenizer]


def package_folder(name: str) -> Path:
    """The folder that `module:folder` names, inside an installed package."""
    module, _, inside = name.partition(":")
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ConfigError(
            f"the package {module} is not installed",
            where="package",
            fix="pip install 'trivet[demo]'",
        )
    return Path(spec.origin).parent / inside


def keep_layers(encoder: Any, count: int) -> None:
    """Cut a stack of layers to its first ones, in the module and in its config."""
    for owner in (getattr(encoder, "encoder", None), encoder):
        for name in ("layer", "layers"):
            layers = getattr(owner, name, None)
            if isinstance(layers, torch.nn.ModuleList):
                if not 1 <= count <= len(layers):
                    raise ConfigError(f"must lie between 1 and {len(layers)}", where="layers")
                setattr(owner, name, layers[:count])
                encoder.config.num_hidden_layers = count
                if getattr(encoder.config, "layer_types", None):
                    encoder.config.layer_types = encoder.config.layer_types[:count]
                return
    raise ConfigError(
        f"a {encoder.config.model_type} does not show its layers where they are known to be",
        where="layers",
        fix="Leave layers out",
    )
