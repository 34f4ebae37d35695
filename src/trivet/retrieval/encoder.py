"""What retrievers with an encoder share: how it is found, loaded, told of a task, and named."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from trivet.core.hashing import texts_digest
from trivet.core.machine import Machine, Precision
from trivet.core.schema import unkeyed
from trivet.models.lengths import read_longer, refuse_filling
from trivet.retrieval.cache import Cache
from trivet.retrieval.learned import check_sides, identity, model_folder, truncated_shares

Model = TypeVar("Model")


@dataclass
class Encoder(Generic[Model]):
    """A model, and the settings that every encoder has."""

    kind: ClassVar[str]  # what a ledger row calls the retriever
    takes_lengths: ClassVar[bool] = False  # a task's lengths are for late interaction

    model: str
    """A trivet artifact, a folder in the layout of the library that wrote it, or a hub id."""
    revision: str = "main"
    """The hub revision."""
    precision: Precision = "fp32"
    """Of the encoder; scores are fp32 always."""
    lengths: dict[str, int] = field(default_factory=dict[str, int])
    """Content tokens of `query` and `document`; else the task's for late interaction, else the
    model's."""
    prompts: dict[str, str] = field(default_factory=dict[str, str])
    """What stands before a `query` and a `document`; else the task's, else the model's."""
    cache: Cache = unkeyed(factory=Cache)
    """Where what is encoded of documents is kept."""
    machine: Machine = unkeyed(factory=Machine)
    """Where it runs."""
    _state: dict[str, Any] = field(default_factory=dict[str, Any], init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse sides that there are not."""
        check_sides(self.lengths, self.prompts)

    def load(self) -> Model:
        """The model in fp32, with the lengths and prompts asked for."""
        if "model" not in self._state:
            folder = model_folder(self.model, self.revision)
            model: Any = self._read(folder)
            read_longer(model, self.lengths)
            own = (model.tokenizer.lengths, model.tokenizer.prompts)
            self._state |= {"model": model, "own": own, "identity": identity(folder)}
            self.adapt({}, {})
        return self._state["model"]

    def use(self, model: Model) -> None:
        """Search with a model that is in memory already; its own settings stay as they are."""
        shown: Any = copy.copy(model)
        shown.tokenizer = copy.copy(shown.tokenizer)
        self._state["model"] = shown

    def adapt(self, lengths: dict[str, int], prompts: dict[str, str]) -> None:
        """Use a task's settings where the config gives none."""
        model: Any = self.load()
        tokenizer = model.tokenizer
        own = self._state.get("own", (tokenizer.lengths, tokenizer.prompts))
        tokenizer.lengths = own[0] | (lengths if self.takes_lengths else {}) | self.lengths
        tokenizer.prompts = own[1] | prompts | self.prompts
        refuse_filling(tokenizer)

    def _read(self, folder: Path) -> Model:
        raise NotImplementedError

    def _key(self, model: Any, texts: list[str], **more: Any) -> dict[str, Any] | None:
        """What decides how documents are encoded; a model in training has no name to keep under."""
        if "identity" not in self._state:
            return None
        return {
            "kind": self.kind,
            "model": self.model,
            "model_key": self._state["identity"]["model_key"],
            "side": "document",
            "length": model.tokenizer.lengths["document"],
            "prompt": model.tokenizer.prompts.get("document", ""),
            "precision": self.precision,
            "texts": texts_digest(texts),
            **more,
        }

    def _facts(self) -> dict[str, Any]:
        """What every row says: the model, its prompts and lengths, and what was cut."""
        model: Any = self.load()
        return {
            "kind": self.kind,
            "model": self.model,
            **self._state.get("identity", {}),
            "precision": self.precision,
            "prompts": model.tokenizer.prompts,
            "lengths": model.tokenizer.lengths,
            **truncated_shares(self._state.get("truncated", {})),
        }
