"""Hard negatives: documents that look like answers and are none, from any retrievers.

mxbai-edge-colbert-v0 (https://arxiv.org/abs/2510.14880) fine-tunes on negatives that a
dense model found and judged, mixed with BM25's and with random ones. Documents of the training
pairs, or the whole corpus of a BEIR folder, are searched with each pair's query.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from trivet.core.artifact import Artifact, Store, artifact_key
from trivet.core.errors import ConfigError, nearest
from trivet.core.files import write_json
from trivet.core.seeds import derive
from trivet.core.versions import library_versions
from trivet.data.sources import Source
from trivet.data.table import Table
from trivet.mining.choose import RANDOM, Row, Rules, choose, tally
from trivet.mining.documents import Documents, name_of
from trivet.mining.keys import recipe
from trivet.mining.rows import origin, write_rows
from trivet.mining.shards import Facts, Shards, find, make
from trivet.mining.statistics import WIDTH, summary
from trivet.retrieval.protocol import Retriever

_SHARD = 4096  # queries


@runtime_checkable
class PairScorer(Protocol):
    """A retriever that can say what any pair scores."""

    def pair_scores(self, texts: list[str], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Each query with documents of its own, (Q, C) rows of the corpus; -1 gives nan."""
        ...


@dataclass
class Miner:
    """A retriever and how much it gives."""

    retriever: Retriever
    """How candidates are found."""
    share: float
    """Of the negatives; 0 for one that only judges."""


@dataclass
class Judge:
    """Who says that a candidate answers the query about as well as the positive does."""

    miner: str
    """A miner whose retriever scores pairs: a dense model."""
    threshold: float = 0.95
    """A candidate stays if its score is below this share of the positive's."""


@dataclass(kw_only=True)
class Negatives:
    """What is mined and by whom."""

    kind: ClassVar[str] = "negatives"
    version: ClassVar[int] = 2

    miners: dict[str, Miner]
    """Retrievers by name; what they find first is taken first."""
    random: float = 0.0
    """The share of negatives drawn from the whole corpus."""
    judge: Judge | None = None
    """Drops candidates that score too close to the positive; null keeps them."""
    number: int = 7
    """Negatives a row."""
    depth: int = 100
    """How deep each retriever is searched."""
    pool: int = 20
    """Negatives are drawn from the best so many that remain; 0 takes the best ones."""
    shingle: int = 5
    """Two documents are compared by their runs of so many words ..."""
    duplicate: float = 0.5
    """... and are nearly the same when the shorter one shares this much of its runs."""
    short: Literal["drop", "random"] = "random"
    """What happens to a row with too few candidates: it goes, or is filled at random; where even
    the random ones are too close to the positive, it goes."""
    documents: Source | None = None
    """Texts to search besides the source's own documents."""
    seed: int = 0
    """Draws, for each row on its own."""

    def __post_init__(self) -> None:
        """Shares that make a whole, a judge that can judge, numbers that hold something."""
        shares = self.shares()
        if RANDOM in self.miners:
            raise ConfigError(f"{RANDOM} is no retriever", where="miners", fix="Set random=SHARE")
        if min(shares.values()) < 0 or abs(sum(shares.values()) - 1) > 1e-9:
            fix = "Change the miners' share, or random"
            raise ConfigError(f"shares must add up to 1: {shares}", where="miners", fix=fix)
        for name, least in (("number", 1), ("depth", 1), ("pool", 0), ("shingle", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"must be at least {least}", where=name)
        if not 0 < self.duplicate <= 1:
            raise ConfigError("must be above 0 and at most 1", where="duplicate")
        if self.documents is not None and self.documents.columns.kind != "texts":
            raise ConfigError("must map a text", where="documents.columns")
        if self.judge is not None:
            _check_judge(self.judge, self.miners)
        for name, miner in self.miners.items():
            if miner.share == 0 and (self.judge is None or self.judge.miner != name):
                raise ConfigError("gives nothing", where=f"miners.{name}.share", fix="Leave it out")

    def shares(self) -> dict[str, float]:
        """What each miner gives, the random ones last."""
        return {name: miner.share for name, miner in self.miners.items()} | {RANDOM: self.random}

    def key(self, source: Source) -> str:
        """The name of what will be mined; of two miners that find the same, the first has it."""
        what = {"settings": recipe(self), "order": list(self.miners), "source": recipe(source)}
        return artifact_key(self.kind, self.version, what, [])

    def run(self, source: Source, store: Store, cache: Path | None = None) -> Artifact:
        """Mine a source, or find what was mined before; several processes share the work."""
        key = self.key(source)
        found = find(store, self.kind, key)
        if found is not None:
            return found
        digging = Digging(self, source, cache)
        return make(store, self.kind, key, digging.work, digging.write)


class Digging:
    """One source at work."""

    def __init__(self, settings: Negatives, source: Source, cache: Path | None) -> None:
        """Read the pairs and the documents."""
        self.settings, self.source = settings, source
        self.table = source.open(cache)
        if self.table.kind != "pairs":
            fix = "Map columns to query and positive"
            raise ConfigError(f"{source.name} holds {self.table.kind}, not pairs", fix=fix)
        others = settings.documents.open(cache) if settings.documents else None
        self.documents = Documents.of(source, self.table, others)
        self.answers = _answers(self.table, self.documents)
        self.shards = range(-(-len(self.table) // _SHARD))
        self.rules = Rules(
            number=settings.number,
            shares=settings.shares(),
            pool=settings.pool,
            threshold=settings.judge.threshold if settings.judge else 1.0,
            shingle=settings.shingle,
            duplicate=settings.duplicate,
            short=settings.short,
            seed=settings.seed,
        )
        self.facts: Facts = {}

    def work(self, shards: Shards) -> None:
        """Index with every miner, then mine shard by shard."""
        corpus = self.documents.corpus()
        for name, miner in self.settings.miners.items():
            miner.retriever.index(corpus)
            self.facts[name] = miner.retriever.describe()
        shards.work(self.shards, self.shard, f"mine {self.source.name}")

    def shard(self, number: int) -> Facts:
        """The negatives of some rows, and what is counted of them."""
        stop = min(len(self.table), (number + 1) * _SHARD)
        rows = np.arange(number * _SHARD, stop)
        batch = self.table.read(rows)
        found = self._found([str(row) for row in rows], batch.queries)
        drawn = np.stack([self._drawn(row) for row in rows.tolist()])  # (Q, C)
        positives = np.array([self._row(documents[0]) for documents in batch.documents])
        candidates = np.concatenate([positives[:, None], *found.values(), drawn], axis=1)
        judge = self.settings.judge
        retriever = self.settings.miners[judge.miner].retriever if judge else None
        assert retriever is None or isinstance(retriever, PairScorer)
        scores = retriever.pair_scores(batch.queries, candidates) if retriever else None
        counts: Counter[str] = Counter()
        kept: list[Any] = []
        for i, query in enumerate(batch.queries):
            known = {} if scores is None else _known(candidates[i], scores[i])
            row = Row(
                number=int(rows[i]),
                positive=int(positives[i]),
                answers=self.answers[name_of(query)],
                itself=self.documents.row(query),
                found={name: _there(part[i]) for name, part in found.items()},
                drawn=drawn[i].tolist(),
                scores=known,
            )
            chosen = choose(row, self.rules, self.documents.texts)
            counts += tally(row, chosen, WIDTH)
            if chosen.negatives:
                documents = [row.positive, *(document for document, _ in chosen.negatives)]
                told = [round(known[document], 6) for document in documents] if known else None
                kept.append([row.number, chosen.negatives, told])
        return {"rows": kept, "counts": counts}

    def write(self, folder: Path, shards: Shards) -> Facts:
        """The rows and the statistics, from all shards."""
        counts: Counter[str] = Counter()
        for value in shards.read(self.shards):
            counts.update(value["counts"])
        fix = "Lower number, or raise judge.threshold or depth"
        if self.settings.short == "drop":
            fix = f"Set short=random. {fix}"
        write_rows(folder, self._rows(shards), self.source.name, fix)
        statistics = summary(counts, self.rules.shares)
        write_json(folder / "statistics.json", statistics)
        return {
            "source": origin(self.source),
            "has_negatives": True,
            "documents": len(self.documents),
            "recipe": recipe(self.settings),
            "retrievers": self.facts,
            "statistics": statistics,
            "versions": library_versions(),
        }

    def _rows(self, shards: Shards) -> Iterator[dict[str, Any]]:
        kept = (row for value in shards.read(self.shards) for row in value["rows"])
        texts = self.table.texts()
        for number, negatives, scores in kept:
            query, positive = next((q, d[0]) for position, q, d in texts if position == number)
            yield {
                "query": query,
                "positive": positive,
                "negatives": [self.documents.texts[document] for document, _ in negatives],
                "miners": [miner for _, miner in negatives],
            } | ({"scores": scores} if scores else {})

    def _found(self, ids: list[str], queries: list[str]) -> dict[str, NDArray[np.int64]]:
        depth = self.settings.depth
        return {
            name: miner.retriever.search(ids, queries, depth).rows
            for name, miner in self.settings.miners.items()
            if miner.share > 0
        }

    def _drawn(self, row: int) -> NDArray[np.int64]:
        """Random documents, more than are needed, since some may have to go."""
        draw = np.random.default_rng(derive(self.settings.seed, "draw", row))
        count = min(8 * self.settings.number + 32, len(self.documents))
        return draw.choice(len(self.documents), count, replace=False)

    def _row(self, text: str) -> int:
        row = self.documents.row(text)
        assert row is not None
        return row


def _answers(table: Table, documents: Documents) -> dict[int, set[int]]:
    """All documents that a row names as the answer to a query, by the query's words."""
    found: dict[int, set[int]] = {}
    for _, query, texts in table.texts():
        row = documents.row(texts[0])
        assert row is not None
        found.setdefault(name_of(query), set()).add(row)
    return found


def _check_judge(judge: Judge, miners: dict[str, Miner]) -> None:
    if judge.miner not in miners:
        fix = nearest(judge.miner, miners)
        raise ConfigError(f"no miner {judge.miner}", where="judge.miner", fix=fix)
    if not isinstance(miners[judge.miner].retriever, PairScorer):
        what = f"{judge.miner} cannot score any pair"
        raise ConfigError(what, where="judge.miner", fix="Name a dense one, or set judge=null")
    if judge.threshold <= 0:
        raise ConfigError("must be above 0", where="judge.threshold")


def _there(rows: NDArray[np.int64]) -> list[int]:
    return rows[rows >= 0].tolist()


def _known(rows: NDArray[np.int64], scores: NDArray[np.float32]) -> dict[int, float]:
    return dict(zip(rows[rows >= 0].tolist(), scores[rows >= 0].tolist(), strict=True))
