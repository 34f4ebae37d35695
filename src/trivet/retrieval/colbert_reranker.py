"""A ColBERT model that scores the documents another retriever found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trivet.core.machine import Machine, Precision
from trivet.core.maxsim import maxsim
from trivet.core.ragged import Ragged, concatenate
from trivet.core.schema import unkeyed
from trivet.models.colbert import ColBERT
from trivet.retrieval.colbert import ColbertRetriever
from trivet.retrieval.encode import at_precision, encode_shards, split
from trivet.retrieval.learned import truncated_shares
from trivet.retrieval.pairs import Pair


@dataclass
class ColbertReranker:
    """MaxSim of each query with its own documents; each text is encoded once a call."""

    model: str
    """A trivet artifact, a folder in PyLate's layout, or a hub id."""
    revision: str = "main"
    """The hub revision."""
    precision: Precision = "fp32"
    """Of the encoder; scores are fp32 always."""
    lengths: dict[str, int] = field(default_factory=dict[str, int])
    """Content tokens of `query` and `document`; else the task's, else the model's."""
    prompts: dict[str, str] = field(default_factory=dict[str, str])
    """What stands before a `query` and a `document`; else the task's, else the model's."""
    machine: Machine = unkeyed(factory=Machine)
    """Where it runs."""
    _state: dict[str, Any] = field(default_factory=dict[str, Any], init=False, repr=False)

    def __post_init__(self) -> None:
        """Hold the same settings as the retriever, which loads the model and tells of it."""
        self._state["inner"] = ColbertRetriever(
            self.model,
            revision=self.revision,
            precision=self.precision,
            lengths=self.lengths,
            prompts=self.prompts,
            machine=self.machine,
        )
        self._state["counts"] = {"query": (0, 0), "document": (0, 0)}

    def adapt(self, lengths: dict[str, int], prompts: dict[str, str]) -> None:
        """Use a task's lengths and prompts where the config gives none."""
        self._state["inner"].adapt(lengths, prompts)
        self._state["counts"] = {"query": (0, 0), "document": (0, 0)}

    def score(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        """The MaxSim of each query and document."""
        queries = list(dict.fromkeys(query for query, _ in pairs))
        documents = list(dict.fromkeys(document for _, document in pairs))
        asked, read = self._bags(queries, "query"), self._bags(documents, "document")
        number = {document: i for i, document in enumerate(documents)}
        places: dict[str, list[int]] = {query: [] for query in queries}
        for i, (query, _) in enumerate(pairs):
            places[query].append(i)
        out = np.empty(len(pairs), dtype=np.float32)
        for i, query in enumerate(queries):
            own = torch.tensor([number[pairs[place][1]] for place in places[query]])
            scores = maxsim(asked.select(torch.tensor([i])), read.select(own))[0]
            out[places[query]] = scores.numpy()
        return out

    def describe(self) -> dict[str, Any]:
        """The model, its prompts and lengths, and what was cut."""
        facts = self._state["inner"].describe()
        for name in (
            "keep",
            "store",
            "pool",
            "bytes_per_vector",
        ):  # of documents that are stored; here none are
            del facts[name]
        return facts | truncated_shares(self._state["counts"])

    def _bags(self, texts: list[str], side: str) -> Ragged:
        """The token vectors of texts, in their order."""
        if "encoder" not in self._state:
            model: ColBERT = self._state["inner"].load()
            self._state["encoder"] = at_precision(model, self.precision, self.machine.resolve())
            self._state["encoder"].budget = self.machine.encode_tokens
        encoder: ColBERT = self._state["encoder"]
        shards = list(encode_shards(encoder, texts, side, split(texts), what=f"{side} texts"))
        cut, total = self._state["counts"][side]
        cut += sum(shard.truncated for shard in shards)
        self._state["counts"][side] = (cut, total + len(texts))
        bags = [shard.vectors for shard in shards if isinstance(shard.vectors, Ragged)]
        if not bags:
            return Ragged(torch.empty(0, encoder.dim), torch.zeros(1, dtype=torch.int64))
        return concatenate(bags).select(torch.argsort(torch.cat([s.rows for s in shards])))
