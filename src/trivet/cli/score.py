"""`trivet score`: a reranker's scores of each query's documents."""

from __future__ import annotations

from trivet.cli import mine

_SAID = (
    "Let a reranker score the documents of each query: pairs with negatives, such as `trivet mine` "
    "makes, become n-way tuples to learn from. What was scored before is found."
)


def run(argv: list[str]) -> int:
    """Score every source, show how the scores are spread and how to use them."""
    return mine.run(argv, "score", _SAID)
