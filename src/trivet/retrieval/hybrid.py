"""Several retrievers' results as one: reciprocal ranks, or scores brought to one scale and added.

Cormack et al., "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods",
2009; Lee, "Analyses of Multiple Evidence Combination", 1997. A document that a part did not find
adds nothing from there. Weights are given, or tuned on a split that is not reported (bench/tune).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from trivet.core.errors import ConfigError, TrivetError, nearest
from trivet.core.records import Corpus, Ranking
from trivet.retrieval.pedigree import merged
from trivet.retrieval.protocol import Adaptable, Retriever, Selfless
from trivet.retrieval.topk import id_order, ranked, without_self

Method = Literal["rrf", "minmax", "zscore"]


@dataclass
class Hybrid:
    """Fusion of any retrievers."""

    parts: dict[str, Retriever]
    """The retrievers by name."""
    method: Method = "rrf"
    """rrf: reciprocal ranks; minmax, zscore: scores scaled by query, then added."""
    weights: dict[str, float] = field(default_factory=dict[str, float])
    """How much each part counts; 1 where none is given."""
    rrf_k: int = 60
    """Added to each rank, so that the first few do not decide alone."""
    depth: int = 1000
    """Documents taken from each part, at least as many as are asked for."""
    _state: dict[str, Any] = field(default_factory=dict[str, Any], init=False, repr=False)

    def __post_init__(self) -> None:
        """At least two parts, and weights that belong to them."""
        if len(self.parts) < 2:
            raise ConfigError("needs at least two", where="parts")
        for name, weight in self.weights.items():
            if name not in self.parts:
                fix = nearest(name, self.parts)
                raise ConfigError(f"no part {name}", where="weights", fix=fix)
            if weight < 0:
                raise ConfigError("must not be negative", where=f"weights.{name}")
        for name in ("rrf_k", "depth"):
            if getattr(self, name) < 1:
                raise ConfigError("must be at least 1", where=name)

    def adapt(self, lengths: dict[str, int], prompts: dict[str, str]) -> None:
        """Hand a task's lengths and prompts to the parts."""
        for part in self.parts.values():
            if isinstance(part, Adaptable):
                part.adapt(lengths, prompts)

    def leave_out_self(self, yes: bool) -> None:
        """Drop documents with the query's own id from each part, before ranks and scales."""
        self._state["selfless"] = yes
        for part in self.parts.values():
            if isinstance(part, Selfless):
                part.leave_out_self(yes)

    def index(self, corpus: Corpus) -> None:
        """Index with every part."""
        for part in self.parts.values():
            part.index(corpus)
        self._state |= {"ids": corpus.ids, "order": id_order(corpus.ids)}

    def tuned(self, weights: dict[str, float], tasks: list[str]) -> None:
        """Take weights chosen on another split of these tasks: in-domain for them from now on."""
        self.weights, self._state["tuned_on"] = weights, tasks

    def search(self, ids: list[str], texts: list[str], k: int) -> Ranking:
        """Search with every part, then fuse."""
        return self.fuse(self.search_parts(ids, texts, k), k, self.weights)

    def search_parts(self, ids: list[str], texts: list[str], k: int) -> dict[str, Ranking]:
        """Each part's own result."""
        if "ids" not in self._state:
            raise TrivetError("search before index")
        depth = max(k, self.depth)
        if not self._state.get("selfless"):
            return {name: part.search(ids, texts, depth) for name, part in self.parts.items()}
        return {
            name: without_self(part.search(ids, texts, depth + 1), depth)
            for name, part in self.parts.items()
        }

    def fuse(self, found: Mapping[str, Ranking], k: int, weights: Mapping[str, float]) -> Ranking:
        """The best k by the weighted sum of what each part says."""
        first = next(iter(found.values()))
        count = len(first.documents)
        k = min(k, count)
        rows = np.full((len(first.queries), k), -1, dtype=np.int64)
        scores = np.full((len(first.queries), k), -np.inf, dtype=np.float32)
        order = self._state["order"]
        for i in range(len(first.queries)):
            total, hit = np.zeros(count), np.zeros(count, dtype=np.bool_)
            for name, ranking in found.items():
                here = ranking.rows[i] >= 0
                places = ranking.rows[i][here]
                total[places] += weights.get(name, 1.0) * self._scaled(ranking.scores[i][here])
                hit[places] = True
            places = np.flatnonzero(hit)
            single = total[places].astype(np.float32)
            kept, best = ranked(places[None], single[None], order[places][None])
            size = min(k, len(places))
            rows[i, :size], scores[i, :size] = kept[0, :size], best[0, :size]
        return Ranking(first.queries, first.documents, rows, np.where(rows >= 0, scores, 0.0))

    def describe(self) -> dict[str, Any]:
        """The method and every part."""
        parts = {name: part.describe() for name, part in self.parts.items()}
        whole = merged(parts)
        tuned: list[str] = self._state.get("tuned_on", [])
        return whole | {
            "kind": "hybrid",
            "in_domain": sorted({*whole["in_domain"], *tuned}),
            "method": self.method,
            "weights": {name: self.weights.get(name, 1.0) for name in self.parts},
            "depth": self.depth,
            **({"rrf_k": self.rrf_k} if self.method == "rrf" else {}),
        }

    def _scaled(self, scores: NDArray[np.float32]) -> NDArray[np.float64]:
        """One part's scores for one query, best first, on the common scale."""
        values = scores.astype(np.float64)
        if self.method == "rrf":
            return 1.0 / (self.rrf_k + np.arange(1, len(values) + 1))
        if len(values) == 0:
            return values
        if self.method == "minmax":
            spread = values.max() - values.min()
            return (values - values.min()) / max(float(spread), 1e-9)
        return (values - values.mean()) / max(float(values.std()), 1e-9)
