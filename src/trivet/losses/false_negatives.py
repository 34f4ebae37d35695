"""Which documents of a batch only look like negatives."""

from __future__ import annotations

from torch import Tensor


def false_negatives(queries: Tensor, documents: Tensor, positives: Tensor) -> Tensor:
    """(B, N), true where a document is known to answer a query: itself, or through a copy of it.

    Texts are compared by id: `queries` (B,) and `documents` (N,) hold ids that are equal where the
    texts are; `positives` (B,) is the column of each query's own document. A document counts as
    known if any query with the same text has a document with the same text.
    """
    same_query = queries[:, None] == queries[None, :]  # (B, B)
    own = documents[positives]  # (B,)
    copies = own[:, None] == documents[None, :]  # (B, N): copies of each query's own document
    return (same_query.float() @ copies.float()) > 0
