"""Rankings in TREC's run format, gzipped: query, Q0, document, rank, score, tag.

Columns are parted by tabs, since ids may hold blanks (LIMIT's are names).
"""

from __future__ import annotations

import gzip
from pathlib import Path

from trivet.core.files import write_bytes
from trivet.core.records import Ranking


def write_ranking(path: Path, ranking: Ranking, tag: str) -> None:
    """Write a ranking whole; scores keep every bit (9 digits name a float32)."""
    lines = [
        f"{query}\tQ0\t{document}\t{rank}\t{score:.9g}\t{tag}\n"
        for i, query in enumerate(ranking.queries)
        for rank, (document, score) in enumerate(ranking.of(i), 1)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    write_bytes(aside, gzip.compress("".join(lines).encode(), mtime=0))
    aside.replace(path)
