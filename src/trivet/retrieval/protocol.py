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


@runtime_checkable
class Adaptable(Protocol):
    """A retriever that takes lengths or prompts from a task, where its own config has none."""

    def adapt(self, lengths: dict[str, int], prompts: dict[str, str]) -> None:
        """Called before `index`; both are keyed by side and may be empty."""
        ...


@runtime_checkable
class Selfless(Protocol):
    """A retriever that must know early which tasks count no document with the query's own id.

    Where ranks or scales are joined, such a document would move the others before it is dropped.
    """

    def leave_out_self(self, yes: bool) -> None:
        """Whether the task at hand is such a one."""
        ...
