"""One corpus, its queries, and who answers what."""

from __future__ import annotations

from dataclasses import dataclass, field

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
    lengths: dict[str, int] = field(default_factory=dict[str, int])  # for late interaction
    prompts: dict[str, str] = field(default_factory=dict[str, str])  # for models that take some
