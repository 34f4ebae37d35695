"""Rankings in TREC's run format, gzipped: query, Q0, document, rank, score, tag.

Columns are parted by tabs, since ids may hold blanks (LIMIT's are names).
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from trivet.core.errors import DataError
from trivet.core.files import write_bytes
from trivet.core.records import Ranking
from trivet.core.tables import lines


def write_ranking(path: Path, ranking: Ranking, tag: str) -> None:
    """Write a ranking whole; scores keep every bit (9 digits name a float32)."""
    text = "".join(
        f"{query}\tQ0\t{document}\t{rank}\t{score:.9g}\t{tag}\n"
        for i, query in enumerate(ranking.queries)
        for rank, (document, score) in enumerate(ranking.of(i), 1)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    write_bytes(aside, gzip.compress(text.encode(), compresslevel=6, mtime=0))
    aside.replace(path)


def read_ranking(path: Path, queries: list[str], documents: list[str]) -> Ranking:
    """Read a ranking back. The format names only what was found: the ids come from the task."""
    numbers = {query: i for i, query in enumerate(queries)}
    places = {document: row for row, document in enumerate(documents)}
    found: list[list[tuple[int, float]]] = [[] for _ in queries]
    for line, text in lines(path):
        where = f"{path}:{line}"
        fields = text.rstrip("\n").split("\t")
        if len(fields) != 6:
            raise DataError(f"{len(fields)} columns where a run has 6", where=where)
        query, _, document, rank, score, _ = fields
        if query not in numbers or document not in places:
            what = f"query {query}" if query not in numbers else f"document {document}"
            raise DataError(f"{what} is not in the task", where=where)
        row = found[numbers[query]]
        if rank != str(len(row) + 1):
            raise DataError(f"rank {rank} where {len(row) + 1} is next", where=where)
        row.append((places[document], float(score)))
    k = max((len(row) for row in found), default=0)
    rows = np.full((len(queries), k), -1, dtype=np.int64)
    scores = np.zeros((len(queries), k), dtype=np.float32)
    for i, row in enumerate(found):
        for j, (place, score) in enumerate(row):
            rows[i, j], scores[i, j] = place, score
    return Ranking(queries, documents, rows, scores)
