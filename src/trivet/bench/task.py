"""One corpus, its queries, and who answers what."""

from __future__ import annotations

from dataclasses import dataclass

from trivet.core.records import Corpus


@dataclass(frozen=True)
class Task:
    """What one number is measured on."""

    name: str
    split: str
    corpus: Corpus
    queries: dict[str, str]  # judged queries only
    qrels: dict[str, dict[str, int]]  # query id > document id > grade
    fingerprint: str  # of all of the above
    drop_self: bool = False  # a document with the query's own id is no answer (ArguAna, Quora)
