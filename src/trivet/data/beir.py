"""Training pairs from a folder in BEIR layout: each query with each of its relevant documents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from trivet.core.beir import corpus_rows, qrels_file, qrels_rows, query_rows, required_table
from trivet.core.errors import DataError
from trivet.data.table import Record


def beir_files(folder: Path, split: str) -> list[Path]:
    """The files that a split is made of."""
    return [
        required_table(folder, "corpus"),
        required_table(folder, "queries"),
        qrels_file(folder, split),
    ]


def beir_pairs(folder: Path, split: str) -> Iterator[Record]:
    """(query, title and text) for every relevant document, in the order of the qrels."""
    queries = {identifier: text for _, identifier, text in query_rows(folder)}
    qrels = list(qrels_rows(folder, split))
    wanted = {document for _, _, document, grade in qrels if grade > 0}
    documents = {
        identifier: f"{title} {text}".strip()
        for _, identifier, title, text in corpus_rows(folder)
        if identifier in wanted
    }
    for where, query, document, grade in qrels:
        if query not in queries:
            raise DataError(f"query {query} is not in queries", where=where)
        if grade <= 0:
            continue
        if document not in documents:
            raise DataError(f"document {document} is not in the corpus", where=where)
        if not documents[document]:
            raise DataError(f"document {document} is empty", where=where)
        yield Record(queries[query], [documents[document]], [], where)
