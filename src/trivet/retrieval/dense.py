"""Dense retrieval, exact: the inner product of every query with every document, in fp32."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from trivet.core.artifact import MANIFEST
from trivet.core.errors import ConfigError, TrivetError
from trivet.core.files import read_json
from trivet.core.hashing import json_digest, tree_digests
from trivet.core.hub import hub_model
from trivet.core.machine import Machine, Precision
from trivet.core.records import Corpus, Ranking
from trivet.core.schema import unkeyed
from trivet.models.dense import Dense
from trivet.models.layout import load_dense
from trivet.retrieval.encode import at_precision, encode
from trivet.retrieval.topk import id_order, merge, topk


@dataclass
class DenseRetriever:
    """Any dense model that trivet or sentence-transformers wrote, searched exactly."""

    model: str
    """A trivet artifact, a folder in sentence-transformers layout, or a hub id."""
    revision: str = "main"
    """The hub revision."""
    precision: Precision = "fp32"
    """Of the encoder; scores are fp32 always."""
    lengths: dict[str, int] = field(default_factory=dict[str, int])
    """Content tokens of `query` and `document`; what is not given comes from the model."""
    prompts: dict[str, str] = field(default_factory=dict[str, str])
    """What stands before a `query` and a `document`; what is not given comes from the model."""
    chunk: int = unkeyed(65536)
    """Documents scored at once: the bound of the score matrix."""
    machine: Machine = unkeyed(factory=Machine)
    """Where it runs."""
    _state: dict[str, Any] = field(default_factory=dict[str, Any], init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse sides that there are not."""
        for name in ("lengths", "prompts"):
            for side in getattr(self, name):
                if side not in ("query", "document"):
                    fix = "There is: query and document"
                    raise ConfigError("no such side", where=f"{name}.{side}", fix=fix)
        if any(length < 1 for length in self.lengths.values()):
            raise ConfigError("must be at least 1", where="lengths")
        if self.chunk < 1:
            raise ConfigError("must be at least 1", where="chunk")

    def load(self) -> Dense:
        """The model in fp32, with the lengths and prompts asked for."""
        if "model" not in self._state:
            folder = Path(self.model).expanduser()
            if not folder.is_dir():
                folder = hub_model(self.model, self.revision)
            model = load_dense(folder)
            model.tokenizer.lengths = model.tokenizer.lengths | self.lengths
            model.tokenizer.prompts = model.tokenizer.prompts | self.prompts
            self.use(model)
            self._state["identity"] = _identity(folder)
        return self._state["model"]

    def use(self, model: Dense) -> None:
        """Search with a model that is in memory already."""
        self._state["model"] = model

    def index(self, corpus: Corpus) -> None:
        """Encode all documents."""
        device = self.machine.resolve()
        model = at_precision(self.load(), self.precision, device)
        model.budget = self.machine.encode_tokens
        out = encode(model, corpus.contents(), "document", what="documents")
        self._state |= {
            "encoder": model,
            "vectors": out.vectors,
            "ids": corpus.ids,
            "order": id_order(corpus.ids),
            "documents": len(corpus),
            "truncated_documents": out.truncated,
        }

    def search(self, ids: list[str], texts: list[str], k: int) -> Ranking:
        """Score every query with every document, a chunk of documents at a time."""
        if "vectors" not in self._state:
            raise TrivetError("search before index")
        out = encode(self._state["encoder"], texts, "query", what="queries")
        self._state |= {"queries": len(texts), "truncated_queries": out.truncated}
        vectors: Tensor = self._state["vectors"]
        order = self._state["order"]
        best = None
        for start in range(0, len(vectors), self.chunk):
            scores = out.vectors @ vectors[start : start + self.chunk].T  # (Q, chunk) fp32
            found = topk(scores, min(k, scores.shape[1]), order[start : start + self.chunk])
            found = (found[0] + start, found[1])
            best = found if best is None else merge(best, found, k, order)
        if best is None:
            raise TrivetError("the corpus is empty")
        return Ranking(ids, self._state["ids"], best[0], best[1])

    def describe(self) -> dict[str, Any]:
        """The model, its prompts and lengths, and what was cut."""
        model, state = self.load(), self._state
        facts = {
            "kind": "dense",
            "model": self.model,
            **state.get("identity", {}),
            "dim": model.dim,
            "precision": self.precision,
            "prompts": model.tokenizer.prompts,
            "lengths": model.tokenizer.lengths,
        }
        for side, plural in (("query", "queries"), ("document", "documents")):
            if f"truncated_{plural}" in state:
                share = state[f"truncated_{plural}"] / max(1, state[plural])
                facts[f"truncated_{side}_share"] = round(share, 6)
        return facts


def _identity(folder: Path) -> dict[str, Any]:
    """What a ledger row says of a model: its key, and what it was trained on if that is known."""
    if (folder / MANIFEST).is_file():
        manifest = read_json(folder / MANIFEST)
        return {
            "model_key": manifest["key"],
            "in_domain": manifest.get("in_domain", []),
            "trained_on": manifest.get("trained_on", []),
            "train_seed": manifest.get("seed"),
        }
    digests = {
        k: v for k, v in tree_digests(folder).items() if k.endswith((".safetensors", "json"))
    }
    return {"model_key": json_digest(digests), "in_domain": [], "trained_on": None}
