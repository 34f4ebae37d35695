"""Decontamination of a stage's data against the benches that will be reported."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from trivet.bench.bench import Bench
from trivet.core.errors import ConfigError
from trivet.data.decontaminate import Protected, decontaminate
from trivet.data.table import Table

log = logging.getLogger("trivet")


@dataclass
class Clean:
    """Rows that overlap these benches are dropped; in-domain sources are kept and marked."""

    against: dict[str, Bench]
    """The benches, by any name."""
    query_ngram: int = 8
    """Queries that share a run of so many words overlap."""
    document_ngram: int = 13
    """Documents that share a run of so many words overlap."""

    def __post_init__(self) -> None:
        """Runs of at least one word."""
        for name in ("query_ngram", "document_ngram"):
            if getattr(self, name) < 1:
                raise ConfigError("must be at least 1", where=name)

    def __call__(self, tables: list[Table]) -> tuple[list[Table], dict[str, Any]]:
        """The cleaned tables, and what the manifest says of it."""
        found: list[dict[str, object]] = []
        in_domain: set[str] = set()
        for bench in self.against.values():
            for source in bench.tasks:
                task = source.load()
                texts = dict(zip(task.corpus.ids, task.corpus.contents(), strict=True))
                judged = {d for grades in task.qrels.values() for d, g in grades.items() if g > 0}
                protected = Protected.of(
                    task.name,
                    queries=task.queries.values(),
                    relevant=(texts[document] for document in sorted(judged)),
                    corpus=texts.values(),
                    query_ngram=self.query_ngram,
                    document_ngram=self.document_ngram,
                )
                for i, table in enumerate(tables):
                    tables[i], overlap = decontaminate(table, protected)
                    found.append(overlap.counts())
                    if table.in_domain and (overlap.in_corpus or overlap.document_exact):
                        in_domain.add(task.name)
                    log.info(
                        "decontamination of %s against %s: %d of %d rows dropped%s",
                        table.name,
                        task.name,
                        overlap.dropped,
                        overlap.rows,
                        ", in-domain, kept" if table.in_domain else "",
                    )
        return tables, {"overlap": found, "in_domain": sorted(in_domain)}
