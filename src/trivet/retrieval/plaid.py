"""Late interaction through a PLAID index, with its recall of exact search beside it.

Santhanam et al., "PLAID: An Efficient Engine for Late Interaction Retrieval",
https://arxiv.org/abs/2205.09707, as PyLate and fast-plaid build it (extra: plaid). An index loses
documents and its centroids are drawn at random, so a number of queries is searched exactly as well,
and a row of the ledger says what share of the exact result the index found.
"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from trivet.core.errors import ConfigError, TrivetError
from trivet.core.ragged import Ragged
from trivet.core.records import Corpus, Ranking
from trivet.retrieval.colbert import ColbertRetriever
from trivet.retrieval.topk import ranked

log = logging.getLogger("trivet")


@dataclass
class PlaidRetriever(ColbertRetriever):
    """A ColBERT model searched through PLAID."""

    nbits: int = 4
    """Bits of each residual's dimension."""
    probes: int = 8
    """Centroids looked at for each query token."""
    full_scores: int = 8192
    """Candidates that are scored in full."""
    kmeans_rounds: int = 4
    """Rounds of the clustering that makes centroids."""
    index_seed: int = 42
    """Of the clustering."""
    check: int = 100
    """Queries searched exactly as well, to say what the index misses; 0 checks none."""

    def __post_init__(self) -> None:
        """Settings that make an index."""
        super().__post_init__()
        if self.store is not None:
            fix = "Set nbits, or use --retriever colbert"
            raise ConfigError("an index has its own codes", where="store", fix=fix)
        if self.nbits not in (1, 2, 4, 8):
            raise ConfigError("must be 1, 2, 4 or 8", where="nbits")
        for name in ("probes", "full_scores", "kmeans_rounds"):
            if getattr(self, name) < 1:
                raise ConfigError("must be at least 1", where=name)
        if self.check < 0:
            raise ConfigError("must be at least 0", where="check")

    def index(self, corpus: Corpus) -> None:
        """Encode all documents, or find their vectors in the cache, then build the index."""
        plaid = _pylate()
        super().index(corpus)
        bags: list[torch.Tensor] = [torch.empty(0)] * len(corpus)
        for rows, documents in self.documents():
            for row, bag in zip(rows.tolist(), documents, strict=True):
                bags[row] = bag
        tokens = sum(map(len, bags))
        dim = self.form().dim
        held, packed = 4 * tokens * dim / 2**30, tokens * (dim * self.nbits / 8 + 4) / 2**30
        log.info("plaid: %d token vectors, %.2f GiB to index, about %.2f GiB indexed",
                 tokens, held, packed)  # fmt: skip
        self._state["room"] = tempfile.TemporaryDirectory(prefix="trivet-plaid-")
        index = plaid.PLAID(
            index_folder=self._state["room"].name,
            index_name="index",
            override=True,
            nbits=self.nbits,
            kmeans_niters=self.kmeans_rounds,
            seed=self.index_seed,
            use_triton=False,
            n_ivf_probe=self.probes,
            n_full_scores=self.full_scores,
            show_progress=False,
        )
        filled = [row for row, bag in enumerate(bags) if len(bag)]
        index.add_documents(
            documents_ids=[str(row) for row in filled],
            documents_embeddings=[bags[row] for row in filled],
        )
        self._state["index"] = index

    def search(self, ids: list[str], texts: list[str], k: int) -> Ranking:
        """Through the index; some queries exactly as well."""
        if "index" not in self._state:
            raise TrivetError("search before index")
        queries = self.encode_queries(texts)
        documents: list[str] = self._state["ids"]
        k = min(k, len(documents))
        rows = np.full((len(ids), k), -1, dtype=np.int64)
        scores = np.full((len(ids), k), -np.inf, dtype=np.float32)
        for i, hits in enumerate(self._state["index"](list(queries), k=k) if ids else []):
            for j, hit in enumerate(hits):
                rows[i, j], scores[i, j] = int(hit["id"]), hit["score"]
        rows, scores = ranked(rows, scores, self._state["order"][rows])
        ranking = Ranking(ids, documents, rows, np.where(rows >= 0, scores, np.float32(0)))
        self._compare(ranking, queries)
        return ranking

    def describe(self) -> dict[str, Any]:
        """The model, the index, and what it misses."""
        names = ("nbits", "probes", "full_scores", "kmeans_rounds", "index_seed")
        facts = super().describe()
        for name in ("store", "bytes_per_vector"):  # of what the index is made from
            facts.pop(name, None)
        return {
            **facts,
            "kind": "plaid",
            **{name: getattr(self, name) for name in names},
            **self._state.get("recall", {}),
        }

    def _compare(self, ranking: Ranking, queries: Ragged) -> None:
        """The share of exact search's best 10 and 100 that the index found."""
        count = min(self.check, len(queries))
        if count == 0:
            return
        exact, _ = self.exact(queries.select(torch.arange(count)), ranking.rows.shape[1])
        found: dict[str, float] = {}
        for depth in (10, 100):
            pairs = zip(ranking.rows[:count, :depth], exact[:, :depth], strict=True)
            shares = [len(set(one) & set(other) - {-1}) / len(other) for one, other in pairs]
            found[f"recall_of_exact@{depth}"] = round(float(np.mean(shares)), 6)
        self._state["recall"] = {**found, "checked_queries": count}
        said = ", ".join(f"{share:.4f} of its best {name.partition('@')[2]}"
                         for name, share in found.items())  # fmt: skip
        log.info("plaid: of exact search, on %d queries, the index found %s", count, said)


def _pylate() -> Any:
    try:
        from pylate import indexes
    except ImportError as error:
        fix = "pip install 'trivet[plaid]', or use --retriever colbert, which is exact"
        raise TrivetError(f"PyLate cannot be imported ({error})", where="plaid", fix=fix) from None
    return indexes
