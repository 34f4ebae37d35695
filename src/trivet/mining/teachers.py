"""Who teaches: a dense model here, any model that sentence-transformers loads, or a server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from trivet.core.errors import ConfigError
from trivet.core.machine import Machine, Precision
from trivet.core.memory import halving
from trivet.core.progress import Progress
from trivet.core.schema import unkeyed
from trivet.models.backbone import package_folder
from trivet.retrieval.encode import at_precision, encode_shards
from trivet.retrieval.learned import check_sides, identity, model_folder
from trivet.retrieval.server import Server
from trivet.retrieval.vectors import Shard

Parts = list[list[int]]  # the texts of each shard


@runtime_checkable
class Teacher(Protocol):
    """A model whose vectors are learned from."""

    dim: int | None
    normalize: bool

    def encode(
        self, texts: Sequence[str], side: str, parts: Parts, machine: Machine
    ) -> Iterator[Shard]:
        """A shard for each part: the whole vectors in fp32."""
        ...

    def in_domain(self) -> list[str]:
        """The tasks whose own train split it is known to have seen."""
        ...


@dataclass
class ModelTeacher:
    """A model folder or a hub id."""

    model: str = unkeyed()
    """A trivet artifact, a folder in sentence-transformers layout, a hub id, or `module:folder`: a
    folder inside an installed Python package."""
    revision: str = unkeyed("main")
    """The hub revision; a commit hash pins it, and the plan then needs no download."""
    loader: Literal["trivet", "sentence-transformers"] = "trivet"
    """trivet's own encoder, for models of encoder and pooling; the library loads any other, too."""
    bidirectional: bool = False
    """Every token sees all others, though its architecture is a decoder's; with the library."""
    prompts: dict[str, str] = field(default_factory=dict[str, str])
    """What stands before a `query` and a `document`; what is not given comes from the model."""
    lengths: dict[str, int] = field(default_factory=dict[str, int])
    """Content tokens of `query` and `document`; what is not given comes from the model."""
    dim: int | None = None
    """Only so many dimensions, the first ones; null is all of them."""
    normalize: bool = True
    """Whether vectors are made unit vectors, after they are shortened."""
    precision: Precision = "fp32"
    """Of the encoder."""

    def __post_init__(self) -> None:
        """Refuse sides that there are not, and a change that nobody would make."""
        check_sides(self.lengths, self.prompts)
        if self.bidirectional and self.loader == "trivet":
            fix = "Set loader=sentence-transformers"
            raise ConfigError("needs the library's loader", where="bidirectional", fix=fix)
        _check_dim(self.dim)

    def fingerprint(self) -> Any:
        """The model's key; of a pinned hub model its name."""
        if len(self.revision) == 40:
            return [self.model, self.revision]
        return _identity(self.model, self.revision)["model_key"]

    def in_domain(self) -> list[str]:
        """What its manifest says, if it has one."""
        return _identity(self.model, self.revision)["in_domain"]

    def encode(
        self, texts: Sequence[str], side: str, parts: Parts, machine: Machine
    ) -> Iterator[Shard]:
        """Load the model and encode, a shard at a time."""
        if self.loader == "sentence-transformers":
            yield from self._by_library(texts, side, parts, machine)
            return
        from trivet.models.layout import load_dense
        from trivet.models.lengths import read_longer

        model = load_dense(_folder(self.model, self.revision), budget=machine.encode_tokens)
        read_longer(model, self.lengths)
        model.tokenizer.prompts = model.tokenizer.prompts | self.prompts
        model = at_precision(model, self.precision, machine.resolve())
        yield from encode_shards(model, texts, side, parts, what=f"teacher, {side}")

    def _by_library(
        self, texts: Sequence[str], side: str, parts: Parts, machine: Machine
    ) -> Iterator[Shard]:
        from sentence_transformers import SentenceTransformer

        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        loaded: Any = SentenceTransformer(
            str(_folder(self.model, self.revision)),
            device=machine.resolve(),
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"dtype": dtype, "use_safetensors": True},
        )
        if self.bidirectional:
            loaded[0].auto_model.config.is_causal = False  # where transformers makes its masks
        prompts = {"document": loaded.prompts.get("passage", "")} | loaded.prompts | self.prompts
        prompt = prompts.get(side) or ""
        count = loaded.tokenizer
        if side in self.lengths:
            extra = len(count(prompt, add_special_tokens=False)["input_ids"]) if prompt else 0
            specials = int(count.num_special_tokens_to_add())
            loaded.max_seq_length = self.lengths[side] + extra + specials
        longest = int(loaded.max_seq_length or 512)

        def encoded(batch: list[str], budget: int) -> Tensor:
            return loaded.encode(
                batch,
                prompt=prompt,
                batch_size=max(1, budget // longest),
                convert_to_tensor=True,
                show_progress_bar=False,
            )

        budget = machine.encode_tokens
        with Progress(f"teacher, {side}", sum(map(len, parts)), "text") as progress:
            for rows in parts:
                batch = [texts[row] for row in rows]
                out, budget = halving(lambda size, b=batch: encoded(b, size), budget, "teacher")
                ids = count([prompt + text for text in batch], verbose=False)["input_ids"]
                cut = sum(len(found) > longest for found in ids)
                progress.add(len(rows))
                yield Shard(torch.tensor(rows), out.float().cpu(), cut)


@dataclass
class EndpointTeacher:
    """A server that answers OpenAI's embedding requests."""

    model: str
    """What the server calls the model."""
    url: str = unkeyed()
    """Such as http://127.0.0.1:8000/v1. Vectors are known by the model's name and not by it: what
    two servers call the same must be the same."""
    api_key_env: str | None = unkeyed(None)
    """The variable of the environment that holds the key."""
    prompts: dict[str, str] = field(default_factory=dict[str, str])
    """What stands before a `query` and a `document`."""
    characters: int | None = None
    """Longer texts are cut at so many characters: only the server can count its tokens."""
    dim: int | None = None
    """Only so many dimensions, the first ones; null is all of them."""
    normalize: bool = True
    """Whether vectors are made unit vectors, after they are shortened."""
    batch: int = unkeyed(64)
    """Texts in a request."""
    retries: int = unkeyed(5)
    """How often a request is sent again; the pause before doubles, from a second."""
    timeout: float = unkeyed(120.0)
    """Seconds until a request is given up."""

    def __post_init__(self) -> None:
        """An address, sides that there are, counts that hold something."""
        check_sides({}, self.prompts)
        _check_dim(self.dim)
        Server(self.url, None)
        for name in ("batch", "timeout"):
            if getattr(self, name) <= 0:
                raise ConfigError("must be above 0", where=name)
        if self.characters is not None and self.characters < 1:
            raise ConfigError("must be at least 1, or null", where="characters")

    def in_domain(self) -> list[str]:
        """Nothing is known."""
        return []

    def encode(
        self, texts: Sequence[str], side: str, parts: Parts, machine: Machine
    ) -> Iterator[Shard]:
        """Ask for a batch at a time."""
        server = Server(self.url, self.api_key_env, self.timeout, self.retries)
        prompt = self.prompts.get(side, "")
        with Progress(f"teacher, {side}", sum(map(len, parts)), "text") as progress:
            for rows in parts:
                found: list[Tensor] = []
                cut = 0
                for start in range(0, len(rows), self.batch):
                    whole = [texts[row] for row in rows[start : start + self.batch]]
                    cut += sum(len(text) > (self.characters or len(text)) for text in whole)
                    asked = [prompt + text[: self.characters] for text in whole]
                    found.append(_asked(server, self.model, asked))
                    progress.add(len(asked))
                yield Shard(torch.tensor(rows), torch.cat(found), cut)


@cache
def _identity(model: str, revision: str) -> dict[str, Any]:
    """A model's facts; its files are gone through once."""
    return identity(_folder(model, revision))


def _folder(model: str, revision: str) -> Path:
    if ":" in model and not Path(model).expanduser().is_dir():
        return package_folder(model)
    return model_folder(model, revision)


def _asked(server: Server, model: str, texts: list[str]) -> Tensor:
    """The vectors of some texts, in their order: (n, D)."""
    body = {"model": model, "input": texts, "encoding_format": "float"}
    answer = server.post("embeddings", body)
    try:
        rows = sorted(json.loads(answer)["data"], key=lambda row: int(row["index"]))
        if [row["index"] for row in rows] != list(range(len(texts))):
            raise ValueError("not as many as were asked for")
        vectors = torch.tensor([row["embedding"] for row in rows], dtype=torch.float32)
        if vectors.ndim != 2 or not bool(vectors.isfinite().all()):
            raise ValueError("not vectors")
    except (ValueError, LookupError, TypeError, AttributeError):
        raise server.misunderstood(answer, "an embedding model") from None
    return vectors


def _check_dim(dim: int | None) -> None:
    if dim is not None and dim < 1:
        raise ConfigError("must be at least 1, or null for all", where="dim")
