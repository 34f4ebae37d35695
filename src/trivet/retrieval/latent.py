"""BM25 over latent terms: a dense retriever's own vocabulary, weighed like words.

Clavié et al., "Latent Terms" (https://arxiv.org/abs/2605.29384): the root of a text's latents takes
the place of counts, on both sides, and stays a real number; k1 and b are the paper's untuned ones.
Of two texts that share only terms which stand in more than half of all documents, `robertson` finds
neither by the other.
"""

from __future__ import annotations

import copy
import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trivet.core.errors import ConfigError, TrivetError
from trivet.core.layers import fast_layers
from trivet.core.memory import halving
from trivet.core.ragged import Ragged
from trivet.models.latent import Latent as Model
from trivet.models.latent import Pooling, fingerprint, load_latent
from trivet.models.packed import micro_batches
from trivet.retrieval.encode import at_precision
from trivet.retrieval.postings import Postings
from trivet.retrieval.terms import Terms
from trivet.retrieval.vectors import Shard

log = logging.getLogger("trivet")
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
    idf_power: float = 1.0
    """What the idf is raised to: 0 weighs no latent by how rare it is."""
    least_documents: int = 1
    """Latents that fewer documents have count nothing."""
    most_share: float = 1.0
    """Latents that a larger share of documents has count nothing."""
    keep_states: bool = False
    """Whether the encoder's hidden states are kept, too: other dictionaries of the same encoder
    then read the same texts without it. They take 2 or 4 bytes a dimension of each token."""

    def __post_init__(self) -> None:
        """Settings that make a formula."""
        super().__post_init__()
        if self.k1 < 0 or not 0 <= self.b <= 1:
            raise ConfigError("needs k1 >= 0 and 0 <= b <= 1", where="k1, b")
        if self.idf_power < 0:
            raise ConfigError("must not be negative", where="idf_power")
        if self.least_documents < 1:
            raise ConfigError("must be at least 1", where="least_documents")
        if not 0 < self.most_share <= 1:
            raise ConfigError("must lie above 0, and at 1 at most", where="most_share")
        if self.keep_states and not self.cache.use:
            log.warning("keep_states keeps nothing: the cache is not used")

    def describe(self) -> dict[str, Any]:
        """Also the formula."""
        names = ("pooling", "scale", "k1", "b", "idf", "idf_power", "least_documents",
                 "most_share")  # fmt: skip
        return super().describe() | {name: getattr(self, name) for name in names}

    def _read(self, folder: Path) -> Model:
        return load_latent(folder)

    def _ready(self, device: str) -> Model:
        model = self.load()
        made = at_precision(model, self.precision, device)
        made.sae = copy.deepcopy(model.sae).to(device)  # what it chooses from is fp32 always
        return made

    def _own(self) -> dict[str, Any]:
        if "dictionary" not in self._state:
            self._state["dictionary"] = fingerprint(self.load().sae)
        return super()._own() | {
            "pooling": self.pooling,
            "dictionary": self._state["dictionary"],
        }

    def _terms(self, ids: Ragged, side: str, what: str) -> Iterator[tuple[Tensor, Ragged]]:
        model: Model = self._state["encoder"]
        if self.keep_states:
            ids = self._states(model, ids, what)
        for group in micro_batches(model.encoder, ids.lengths, self.machine.encode_tokens):
            rows = ids.select(group)

            def work(budget: int, rows: Ragged = rows) -> Ragged:
                model.budget = budget
                with fast_layers():
                    return model(rows, self.pooling)

            found, _ = halving(work, self.machine.encode_tokens, what)
            if not bool(found.values.isfinite().all()):
                low = "" if self.precision == "fp32" else ", or encode in fp32"
                fix = f"Look at its weights, the encoder's and the dictionary's{low}"
                raise TrivetError("the model gives what is no number", where=what, fix=fix)
            yield group, _heaviest(found, self.top_terms.get(side))

    def _states(self, model: Model, ids: Ragged, what: str) -> Ragged:
        """Hidden states of texts, (tokens, D) each, in the precision that they were made in."""
        if "states" not in self._state:
            encoder = fingerprint(model.encoder)
            self._state["states"] = {"kind": "states", "model": self.model, "encoder": encoder}
        digest = hashlib.sha256(ids.values.numpy().tobytes() + ids.offsets.numpy().tobytes())
        exact = torch.bfloat16 if self.precision == "bf16" else torch.float32

        def read(budget: int) -> Shard:
            with fast_layers():
                return Shard(torch.arange(len(ids)), model.states(ids, budget, exact), 0)

        def make() -> Shard:
            return halving(read, self.machine.encode_tokens, what)[0]

        number = int(digest.hexdigest()[:12], 16)
        shard = self.cache.one(self._state["states"], number, make)
        assert isinstance(shard.vectors, Ragged)
        return shard.vectors

    def _weighed(self, documents: list[Postings], sizes: list[int]) -> list[Postings]:
        """How saturated a term is in a document; how rare it is, queries' weights say."""
        count = sum(sizes)
        scaled = [torch.from_numpy(self._scaled(part.values)) for part in documents]
        rows = [torch.from_numpy(part.rows) for part in documents]
        lengths = [
            torch.zeros(size).index_add_(0, own, weights)
            for size, own, weights in zip(sizes, rows, scaled, strict=True)
        ]
        mean = max(sum(float(own.double().sum()) for own in lengths) / count, 1e-12)
        frequencies = np.zeros(len(documents[0].starts) - 1)
        out: list[Postings] = []
        for part, own, weights, sums in zip(documents, rows, scaled, lengths, strict=True):
            norms = self.k1 * (1 - self.b + self.b * sums / mean)
            saturated = weights / (weights + norms[own]).clamp_(min=1e-12)
            out.append(replace(part, values=saturated.numpy()))
            above = weights.numpy() > 0
            frequencies += part.frequencies if above.all() else part.totals(above)
        self._state["rarity"] = self._rarity(frequencies, count)
        return out

    def _rarity(self, frequencies: NDArray[np.float64], count: int) -> NDArray[np.float64]:
        """Inverse document frequency, (V,); of terms that are left out 0."""
        ratio = (count - frequencies + 0.5) / (frequencies + 0.5)
        rarity = np.log(np.maximum(ratio, 1) if self.idf == "robertson" else 1 + ratio)
        left_out = (frequencies < self.least_documents) | (frequencies > self.most_share * count)
        weighed = np.where(left_out, 0, rarity**self.idf_power)
        if not weighed.any():
            log.warning("no latent counts anything: none is in few enough documents, and in enough")
        return weighed

    def _asked(self, queries: Postings) -> Postings:
        """A query's weights times how rare its terms are; what counts nothing is left out."""
        weights = self._scaled(queries.values) * self._state["rarity"][queries.terms]
        kept = weights > 0
        starts = np.concatenate([[0], kept.cumsum()])[queries.starts]
        return Postings(starts, queries.rows[kept], weights[kept].astype(np.float32))

    def _scaled(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.scale == "root":
            return np.sqrt(weights)
        if self.scale == "log":
            return np.log1p(weights)
        if self.scale == "binary":
            return np.ones_like(weights)
        return np.rint(weights) if self.scale == "counts" else weights


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
