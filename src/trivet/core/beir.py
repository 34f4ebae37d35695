"""BEIR's folder layout: corpus, queries and qrels/<split>, each a table of any kind.

Thakur et al., "BEIR: A Heterogeneous Benchmark for Zero-shot Evaluation of Information Retrieval
Models", https://arxiv.org/abs/2104.08663. Every reader streams, and names the file and line of what
cannot be trusted.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trivet.core.errors import DataError, nearest
from trivet.core.tables import find_table, lines, rows, text_field

Located = Iterator[tuple[str, dict[str, Any]]]  # (where, row)
Judgement = tuple[str, str, str, int]  # (where, query id, document id, grade)


def required_table(folder: Path, stem: str) -> Path:
    """The table of that name; its absence is an error that says what the layout is."""
    if not folder.is_dir():
        raise DataError("no such folder", where=str(folder))
    path = find_table(folder, stem)
    if path is None:
        raise DataError(
            f"no {stem} file",
            where=str(folder),
            fix="BEIR layout is corpus.jsonl, queries.jsonl and qrels/<split>.tsv",
        )
    return path


def has_corpus(folder: Path) -> bool:
    """Whether a folder is a collection in this layout."""
    return folder.is_dir() and find_table(folder, "corpus") is not None


def qrels_file(folder: Path, split: str) -> Path:
    """The judgements of a split; an unknown split names those there are."""
    path = find_table(folder / "qrels", split)
    if path is None:
        there = {item.name.split(".")[0] for item in (folder / "qrels").glob("*")}
        raise DataError(f"no split {split}", where=str(folder), fix=nearest(split, there))
    return path


def corpus_rows(folder: Path) -> Iterator[tuple[str, str, str, str]]:
    """(where, id, title, text) of each document of a folder."""
    return documents(_located(required_table(folder, "corpus")))


def query_rows(folder: Path) -> Iterator[tuple[str, str, str]]:
    """(where, id, text) of each query of a folder."""
    return queries(_located(required_table(folder, "queries")))


def qrels_rows(folder: Path, split: str) -> Iterator[Judgement]:
    """What a folder judges; with BEIR's header, without one, or TREC's columns."""
    path = qrels_file(folder, split)
    return judgements(_judged_lines(path) if ".tsv" in path.suffixes else judged(_located(path)))


def documents(rows: Located) -> Iterator[tuple[str, str, str, str]]:
    """(where, id, title, text) of each document; ids are unique, a text may be empty."""
    for where, identifier, row in _identified(rows):
        text = row.get("text", "")
        title = row.get("title") or ""
        if "text" not in row:
            raise DataError("no column text", where=where, fix=nearest("text", row))
        if not isinstance(text, str) or not isinstance(title, str):
            raise DataError("title and text must be texts", where=where)
        yield where, identifier, title, text


def queries(rows: Located) -> Iterator[tuple[str, str, str]]:
    """(where, id, text) of each query; ids are unique, no text is empty."""
    for where, identifier, row in _identified(rows):
        yield where, identifier, text_field(row, "text", where)


def judgements(rows: Iterator[tuple[str, list[Any]]]) -> Iterator[Judgement]:
    """(where, query id, document id, grade); no pair is judged twice, a grade is whole."""
    seen: set[tuple[str, str]] = set()
    for where, fields in rows:
        if len(fields) not in (3, 4):
            raise DataError(f"{len(fields)} columns where qrels have 3 or 4", where=where)
        query, document, grade = fields[0], fields[-2], fields[-1]
        try:
            value = _whole(grade)
        except ValueError:
            raise DataError(f"score {grade!r} is not an integer", where=where) from None
        if (query, document) in seen:
            raise DataError(f"query {query} judges {document} twice", where=where)
        seen.add((query, document))
        yield where, query, document, value


def judged(rows: Located) -> Iterator[tuple[str, list[Any]]]:
    """The fields of rows whose columns have BEIR's names."""
    for where, row in rows:
        for name in ("query-id", "corpus-id", "score"):
            if name not in row:
                raise DataError(f"no column {name}", where=where, fix=nearest("", row))
        yield where, [str(row["query-id"]), str(row["corpus-id"]), row["score"]]


def _whole(grade: Any) -> int:
    """Some collections on the hub store grades as 1.0."""
    if isinstance(grade, float) and grade.is_integer():
        return int(grade)
    return int(str(grade))


def _judged_lines(path: Path) -> Iterator[tuple[str, list[Any]]]:
    for line, content in lines(path):
        fields = content.split("\t") if "\t" in content else content.split()
        fields = [item.strip() for item in fields]
        header = line == 1 and not any(map(str.isdigit, fields[-1]))
        if any(fields) and not header:
            yield f"{path}:{line}", fields


def _located(path: Path) -> Located:
    for line, row in rows(path):
        yield f"{path}:{line}", row


def _identified(rows: Located) -> Iterator[tuple[str, str, dict[str, Any]]]:
    seen: set[str] = set()
    for where, row in rows:
        name = "_id" if "_id" in row else "id"
        if name not in row:
            raise DataError("no column _id", where=where, fix=nearest("_id", row))
        identifier = str(row[name])
        if not identifier.strip() or set(identifier) & set("\t\r\n"):
            raise DataError(f"{identifier!r} is no id: empty, or with a tab", where=where)
        if identifier in seen:
            raise DataError(f"id {identifier} stands twice", where=where)
        seen.add(identifier)
        yield where, identifier, row
