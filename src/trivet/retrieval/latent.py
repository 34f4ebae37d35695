"""BM25 over latent terms: a dense retriever's own vocabulary, weighed like words.

Clavié et al., "Latent Terms" (https://arxiv.org/abs/2605.29384): the root of a text's latents takes
the place of counts, on both sides, and stays a real number; k1 and b are the paper's untuned ones.
Of two texts that share only terms which stand in more than half of all documents, `robertson` finds
neither by the other.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trivet.core.errors import ConfigError, TrivetError
from trivet.core.memory import halving
from trivet.core.ragged import Ragged
from trivet.models.latent import Latent as Model
from trivet.models.latent import Pooling, load_latent
from trivet.models.packed import micro_batches
from trivet.retrieval.encode import at_precision
from trivet.retrieval.postings import Postings
from trivet.retrieval.terms import Terms

Scale = Literal["root", "log", "none", "binary", "counts"]


@dataclass
class Latent(Terms[Model]):
    """A model with a sparse autoencoder (stage `sae`), searched exactly."""

    kind: ClassVar[str] = "latent"

    pooling: Pooling = "sum"
    """How a text's tokens make up its latents: added, or the largest."""
    scale: Scale = "root"
    """What stands for a term's count: the root, log(1 + x), itself, 1, or itself rounded."""
    k1: float = 8.0
    """How slowly a term's weight saturates."""
    b: float = 0.7
    """How much long documents are held back."""
    idf: Literal["robertson", "lucene"] = "robertson"
    """ln of (N - n + .5) / (n + .5), not below 0; or of 1 more than that."""

    def __post_init__(self) -> None:
        """Settings that make a formula."""
        super().__post_init__()
        if self.k1 < 0 or not 0 <= self.b <= 1:
            raise ConfigError("needs k1 >= 0 and 0 <= b <= 1", where="k1, b")

    def describe(self) -> dict[str, Any]:
        """Also the formula."""
        names = ("pooling", "scale", "k1", "b", "idf")
        return super().describe() | {name: getattr(self, name) for name in names}

    def _read(self, folder: Path) -> Model:
        return load_latent(folder)

    def _ready(self, device: str) -> Model:
        model = self.load()
        made = at_precision(model, self.precision, device)
        made.sae = copy.deepcopy(model.sae).to(device)  # what it chooses from is fp32 always
        return made

    def _own(self) -> dict[str, Any]:
        return super()._own() | {"pooling": self.pooling}

    def _terms(self, ids: Ragged, side: str, what: str) -> Iterator[tuple[Tensor, Ragged]]:
        model: Model = self._state["encoder"]
        for group in micro_batches(model.encoder, ids.lengths, self.machine.encode_tokens):
            rows = ids.select(group)

            def work(budget: int, rows: Ragged = rows) -> Ragged:
                model.budget = budget
                return model(rows, self.pooling)

            found, _ = halving(work, self.machine.encode_tokens, what)
            if not bool(found.values.isfinite().all()):
                fix = "Look at the model's weights, or encode in fp32"
                raise TrivetError("the encoder gives what is no number", where=what, fix=fix)
            yield group, _heaviest(found, self.top_terms.get(side))

    def _weighed(self, documents: Postings, count: int) -> Postings:
        """Each posting's share of the score: inverse document frequency and saturation."""
        weights = self._scaled(documents.values)
        sizes = np.bincount(documents.rows, weights, count)  # (N,)
        norms = self.k1 * (1 - self.b + self.b * sizes / max(sizes.mean(), 1e-12))
        frequencies = np.bincount(documents.terms, weights > 0, len(documents.starts) - 1)
        ratio = (count - frequencies + 0.5) / (frequencies + 0.5)
        rarity = np.log(np.maximum(ratio, 1) if self.idf == "robertson" else 1 + ratio)
        saturated = weights / np.maximum(weights + norms[documents.rows], 1e-12)
        values = rarity[documents.terms] * saturated
        return replace(documents, values=values.astype(np.float32))

    def _asked(self, queries: Postings) -> Postings:
        return replace(queries, values=self._scaled(queries.values).astype(np.float32))

    def _scaled(self, weights: NDArray[np.float32]) -> NDArray[np.float64]:
        exact = weights.astype(np.float64)
        if self.scale == "root":
            return np.sqrt(exact)
        if self.scale == "log":
            return np.log1p(exact)
        if self.scale == "binary":
            return np.ones_like(exact)
        return np.rint(exact) if self.scale == "counts" else exact


def _heaviest(texts: Ragged, count: int | None) -> Ragged:
    """Of each text its `count` heaviest terms; of equal ones the lower."""
    if count is None:
        return texts
    rows = [
        row[torch.sort(torch.sort(row[:, 1], descending=True, stable=True).indices[:count]).values]
        for row in texts
    ]
    lengths = torch.tensor([0, *map(len, rows)]).cumsum(0)
    return Ragged(torch.cat([texts.values[:0], *rows]), lengths)
