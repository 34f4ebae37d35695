"""What every retriever can do."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from trivet.core.records import Corpus, Ranking


@runtime_checkable
class Retriever(Protocol):
    """Finds documents for queries. A dataclass that holds its config and does its work."""

    def index(self, corpus: Corpus) -> None:
        """Make the documents searchable."""
        ...

    def search(self, ids: list[str], texts: list[str], k: int) -> Ranking:
        """The best k documents of each query, in trec_eval's order."""
        ...

    def describe(self) -> dict[str, Any]:
        """Everything of the retriever that a ledger row must hold."""
        ...
