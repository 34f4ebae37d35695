"""Rankings in TREC's run format: query, Q0, document, rank, score, tag.

Ours are gzipped, their columns parted by tabs, since ids may hold blanks (LIMIT's are names).
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from trivet.core.errors import DataError
from trivet.core.files import write_bytes
from trivet.core.records import Ranking
from trivet.core.tables import lines

_LARGEST = float(np.finfo(np.float32).max)


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


@dataclass(frozen=True)
class Line:
    """One line of a run."""

    where: str
    query: str
    document: str
    rank: int
    score: float
    tag: str


@dataclass(frozen=True)
class Run:
    """A run as a task sees it, best first as trec_eval orders, and what was odd about it."""

    ranking: Ranking  # every query of the task, also those that the run lacks
    tag: str  # empty if lines differ
    missing: int  # queries of the task without a line
    unknown: int  # queries of the run that are not the task's
    reordered: int  # queries whose ranks say another order than their scores


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of a run, columns parted by tabs or by blanks; a broken one is named."""
    if not path.is_file():
        raise DataError("no such file", where=str(path))
    for number, text in lines(path):
        where, text = f"{path}:{number}", text.rstrip("\r\n")
        if not text.strip():
            continue
        fields = text.split("\t") if "\t" in text else text.split()
        if len(fields) != 6:
            fix = "Part columns by tabs where ids hold blanks"
            raise DataError(f"{len(fields)} columns where a run has 6", where=where, fix=fix)
        query, _, document, rank, score, tag = fields
        try:
            value, place = float(score), int(rank)
        except ValueError:
            what = f"rank {rank!r} or score {score!r} is no number"
            raise DataError(what, where=where) from None
        if not abs(value) <= _LARGEST:
            raise DataError(f"score {score} is not finite", where=where)
        yield Line(where, query, document, place, float(np.float32(value)), tag)


def read_run(path: Path, queries: list[str], documents: list[str]) -> Run:
    """Read a run for a task. As in trec_eval the scores make the order, not the ranks.

    Queries that are not the task's are left out; a document that is not is an error.
    """
    places = {document: row for row, document in enumerate(documents)}
    found: dict[str, dict[str, Line]] = {query: {} for query in queries}
    unknown: set[str] = set()
    tags: set[str] = set()
    for line in read_lines(path):
        tags.add(line.tag)
        if line.query not in found:
            unknown.add(line.query)
            continue
        if line.document not in places:
            raise DataError(f"document {line.document} is not in the task", where=line.where)
        if line.document in found[line.query]:
            what = f"document {line.document} stands twice for query {line.query}"
            raise DataError(what, where=line.where)
        found[line.query][line.document] = line
    k = max(map(len, found.values()), default=0)
    rows = np.full((len(queries), k), -1, dtype=np.int64)
    scores = np.zeros((len(queries), k), dtype=np.float32)
    reordered = 0
    for i, given in enumerate(found.values()):
        best = sorted(given.values(), key=lambda line: (line.score, line.document), reverse=True)
        rows[i, : len(best)] = [places[line.document] for line in best]
        scores[i, : len(best)] = [line.score for line in best]
        reordered += any(a.rank >= b.rank for a, b in pairwise(best))
    return Run(
        ranking=Ranking(queries, documents, rows, scores),
        tag=tags.pop() if len(tags) == 1 else "",
        missing=sum(not given for given in found.values()),
        unknown=len(unknown),
        reordered=reordered,
    )
