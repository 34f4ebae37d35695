"""What a recipe runs on without a network: rows that ship with trivet, and random weights.

For `debug=offline`, which shows that every stage of a recipe works, in the recipe's own shapes. It
knows no stage: it walks their configs and replaces what comes from the hub or a server, and files
that are not there, wherever they stand.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import torch
import yaml

from trivet.bench.folder import Folder
from trivet.bench.hub import Hub
from trivet.core.errors import ConfigError
from trivet.core.hashing import file_digest, json_digest, text_number
from trivet.core.machine import Machine
from trivet.core.places import asset, config_folder
from trivet.core.tables import rows
from trivet.data.columns import Columns
from trivet.data.sources import Source
from trivet.data.table import Record
from trivet.mining.teachers import EndpointTeacher, ModelTeacher, Parts
from trivet.models.backbone import Fresh, Pretrained
from trivet.retrieval.vectors import Shard
from trivet.training.settings import Fit

_VERSION = 2  # raised when the same shape would have other rows
_SAMPLE = "demo/scitldr.jsonl.gz"
_BENCH = "demo/scifact"
_TOKENIZER = "bert-base-uncased"
_DOCUMENTS = 16  # in a tuple, whose list may be of any length
_NEGATIVES = 7  # in a list that may be, too; as many as mining leaves
_BATCHES = 8  # that each source fills
_WORDS = 32  # of a document: whole abstracts would take minutes a step on a CPU


@dataclass
class StandIn(Source):
    """The first rows of the shipped sample, in the shape of another source's rows."""

    def fingerprint(self) -> str:
        """Of the sample; no real source has it."""
        return json_digest(["stand-in", _VERSION, file_digest(asset(_SAMPLE)), self.tokens])

    def _records(self) -> Iterator[Record | None]:
        """So many as are wanted; of plain texts their sentences, on the side where they stand."""
        if self.tokens is not None:
            return super()._records()
        return islice((part for row in self._sampled() for part in self._made(row)), self.limit)

    def _sampled(self) -> Iterator[Record]:
        """Each abstract answers its summary, and the abstracts after it do not."""
        count, width = self.limit or 1, self._width()
        sample = [row for _, row in islice(rows(asset(_SAMPLE)), count + width)]
        for i in range(count):
            texts = [str(row["positive"]) for row in sample[i : i + width]]
            documents = [" ".join(text.split()[:_WORDS]) for text in texts]
            scores = [1.0 / (1 + j) for j in range(width)] if self.columns.scores else []
            query = "" if self.columns.text else str(sample[i]["query"])
            yield Record(query, documents, scores)

    def _width(self) -> int:
        """Documents in a row."""
        if self.columns.kind == "tuples":
            return _DOCUMENTS
        negatives = self.columns.negatives or []
        return 1 + (len(negatives) if len(negatives) != 1 else _NEGATIVES)


@dataclass
class StandInTeacher:
    """Any text's vector is drawn from the text itself."""

    size: int
    """Values of a whole vector."""
    dim: int | None = None
    """Only so many of them."""
    normalize: bool = True
    """Whether vectors are made unit vectors."""

    def encode(
        self, texts: Sequence[str], side: str, parts: Parts, machine: Machine
    ) -> Iterator[Shard]:
        """The same for a text on either side, on every machine."""
        for part in parts:
            yield Shard(torch.tensor(part), torch.stack([self._of(texts[i]) for i in part]), 0)

    def in_domain(self) -> list[str]:
        """It has seen nothing."""
        return []

    def _of(self, text: str) -> torch.Tensor:
        return torch.randn(self.size, generator=torch.Generator().manual_seed(text_number(text)))


def stand_in(config: Any, batch: int, _made: dict[int, Any] | None = None) -> Any:
    """The same config with nothing that is not here, and batches of at most so many rows."""
    made: dict[int, Any] = {} if _made is None else _made
    if id(config) not in made:  # what stands in two places still does
        made[id(config)] = _replaced(config, batch, made)
    return made[id(config)]


def _replaced(config: Any, batch: int, made: dict[int, Any]) -> Any:
    if isinstance(config, Source):
        return _source(config, batch)
    if isinstance(config, Pretrained):
        return config if config.hub is None else _random(config)
    if isinstance(config, Fresh):
        here = asset(f"tokenizers/{config.tokenizer}").is_dir()
        return config if here else dataclasses.replace(config, tokenizer=_TOKENIZER)
    if isinstance(config, ModelTeacher | EndpointTeacher):
        return _teacher(config)
    if isinstance(config, Hub | Folder):
        return _task(config)
    if isinstance(config, Fit):
        return dataclasses.replace(config, batch=min(batch, config.batch))
    if isinstance(config, list):
        return [stand_in(item, batch, made) for item in cast("list[Any]", config)]
    if isinstance(config, Mapping):
        items = cast("Mapping[Any, Any]", config).items()
        return {key: stand_in(item, batch, made) for key, item in items}
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        return config
    fields = {f.name: getattr(config, f.name) for f in dataclasses.fields(config) if f.init}
    replaced = {name: stand_in(value, batch, made) for name, value in fields.items()}
    changes = {name: value for name, value in replaced.items() if value != fields[name]}
    return dataclasses.replace(config, **changes) if changes else config


def _is_here(source: Source) -> bool:
    """Whether a source needs no network, and its files are there."""
    if source.tokens is not None:
        shipped = asset(f"tokenizers/{source.tokens}")
        return shipped.is_dir() or Path(source.tokens).expanduser().is_dir()
    paths = source.path if isinstance(source.path, list) else [source.path, source.beir]
    there = all(Path(path).expanduser().exists() for path in paths if path is not None)
    return source.hub is None and there and all(map(_is_here, source.named_texts().values()))


def _source(source: Source, batch: int) -> Source:
    """Its first rows, if it is here, or as many of the sample's."""
    count = min(source.limit or _BATCHES * batch, _BATCHES * batch)
    if _is_here(source):
        return dataclasses.replace(source, limit=count)
    plain = Columns(query="query", positive="positive")  # as a BEIR folder's
    tokens = None if source.tokens is None else _TOKENIZER
    return StandIn(
        name=source.name,
        columns=source.columns if source.beir is None else plain,
        path=str(asset(_SAMPLE)) if tokens is None else None,
        tokens=tokens,
        prompts=source.prompts,
        side=source.side,
        sentences=source.sentences,
        limit=count,
        in_domain=source.in_domain,
    )


def _teacher(teacher: ModelTeacher | EndpointTeacher) -> Any:
    """The teacher, if it is here, or one of as many dimensions."""
    here = ":" in teacher.model or Path(teacher.model).expanduser().is_dir()
    if isinstance(teacher, ModelTeacher) and here:
        return teacher
    if teacher.dim is None:
        what = "its dimensions are not known without it"
        raise ConfigError(what, where=teacher.model, fix="Set the teacher's dim")
    return StandInTeacher(teacher.dim, teacher.dim, teacher.normalize)


def _task(task: Hub | Folder) -> Hub | Folder:
    """The task, if it is here, or the shipped bench in its name."""
    if task.path is not None and Path(task.path).expanduser().is_dir():
        return task
    return Folder(str(asset(_BENCH)), task.name, "test", task.drop_self)


def _random(backbone: Pretrained) -> Fresh:
    """Random weights in the shape of a hub model, from the config that says what it is."""
    for path in sorted((config_folder() / "backbone").glob("*.yaml")):
        node: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        if node.get("tokenizer") == backbone.hub and "architecture" in node:
            shape = dict(node["architecture"])
            if backbone.layers is not None:
                shape["num_hidden_layers"] = backbone.layers
            return Fresh(architecture=shape, tokenizer=_TOKENIZER)
    raise ConfigError(
        "its shape is not known without the hub",
        where=str(backbone.hub),
        fix="Add configs/backbone/NAME_random.yaml, as ettin17m_random.yaml is written",
    )
