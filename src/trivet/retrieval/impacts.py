"""Learned terms for an engine that searches them by itself: one JSON object a line.

`{"id": ..., "content": "", "vector": {term: weight}}` is what Seismic reads
(https://github.com/TusKANNy/seismic, `SeismicIndex.build`) and, less the weights' being real
numbers, what Anserini's JsonVectorCollection does. The score of a document is the sum over a
query's terms of both weights' product; how rare a term is stands in the query's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from trivet.retrieval.postings import Postings

_AT_ONCE = 4096  # texts held row by row


def write_impacts(path: Path, ids: Sequence[str], postings: Postings) -> int:
    """A line for each text, those without any term too; returns how many weights there are."""
    with path.open("w", encoding="utf-8") as stream:
        for start in range(0, len(ids), _AT_ONCE):
            part = slice(start, min(start + _AT_ONCE, len(ids)))
            for name, (terms, weights) in zip(ids[part], postings.by_row(part), strict=True):
                pairs = zip(terms.tolist(), weights.tolist(), strict=True)
                vector = {str(term): weight for term, weight in pairs}
                line = {"id": name, "content": "", "vector": vector}
                stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    return len(postings.rows)
