"""What a recipe runs on without a network: rows that ship with trivet, and random weights.

For `debug=offline`, which shows that every stage of a recipe works, in the recipe's own shapes. It
knows no stage: it walks their configs and replaces what comes from the hub, wherever it stands.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import yaml

from trivet.core.errors import ConfigError
from trivet.core.hashing import file_digest, json_digest
from trivet.core.places import asset, config_folder
from trivet.core.tables import rows
from trivet.data.sources import Source
from trivet.data.table import Record
from trivet.models.backbone import Fresh, Pretrained
from trivet.training.settings import Fit

_VERSION = 1  # raised when the same shape would have other rows
_SAMPLE = "demo/scitldr.jsonl.gz"
_TOKENIZER = "bert-base-uncased"
_DOCUMENTS = 16  # in a row whose list may be of any length
_BATCHES = 8  # that each source fills


@dataclass
class StandIn(Source):
    """The first rows of the shipped sample, in the shape of another source's rows."""

    def fingerprint(self) -> str:
        """Of the sample; no real source has it."""
        return json_digest(["stand-in", _VERSION, file_digest(asset(_SAMPLE))])

    def _records(self) -> Iterator[Record | None]:
        """Each abstract answers its summary, and the abstracts after it do not."""
        count, width = self.limit or 1, self._width()
        sample = [row for _, row in islice(rows(asset(_SAMPLE)), count + width)]
        for i in range(count):
            documents = [str(row["positive"]) for row in sample[i : i + width]]
            scores = [1.0 / (1 + j) for j in range(width)] if self.columns.scores else []
            query = "" if self.columns.text else str(sample[i]["query"])
            yield Record(query, documents, scores)

    def _width(self) -> int:
        """Documents in a row."""
        if self.columns.kind == "tuples":
            return _DOCUMENTS
        negatives = self.columns.negatives or []
        return 1 + (len(negatives) if len(negatives) != 1 else _DOCUMENTS - 1)


def stand_in(config: Any, batch: int, _made: dict[int, Any] | None = None) -> Any:
    """The same config with nothing from the hub, and batches of at most so many rows."""
    made: dict[int, Any] = {} if _made is None else _made
    if id(config) not in made:  # what stands in two places still does
        made[id(config)] = _replaced(config, batch, made)
    return made[id(config)]


def _replaced(config: Any, batch: int, made: dict[int, Any]) -> Any:
    if isinstance(config, Source):
        return config if config.hub is None else _source(config, batch)
    if isinstance(config, Pretrained):
        return config if config.hub is None else _random(config)
    if isinstance(config, Fresh):
        here = asset(f"tokenizers/{config.tokenizer}").is_dir()
        return config if here else dataclasses.replace(config, tokenizer=_TOKENIZER)
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


def _source(source: Source, batch: int) -> StandIn:
    return StandIn(
        name=source.name,
        columns=source.columns,
        path=str(asset(_SAMPLE)),
        prompts=source.prompts,
        limit=min(source.limit or _BATCHES * batch, _BATCHES * batch),
        in_domain=source.in_domain,
    )


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
