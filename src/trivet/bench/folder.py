"""Any folder in BEIR layout as a task, checked at the door."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trivet.bench.task import Task
from trivet.core.beir import corpus_rows, qrels_file, qrels_rows, query_rows, required_table
from trivet.core.errors import DataError
from trivet.core.hashing import file_digest, texts_digest
from trivet.core.records import Corpus
from trivet.core.schema import unkeyed

log = logging.getLogger("trivet")


@dataclass
class Folder:
    """A folder with corpus, queries and qrels/<split>, of any table kind, plain, .gz or .zst."""

    path: str = unkeyed()
    """The folder."""
    name: str | None = None
    """What the task is called; null is the folder's name."""
    split: str = "test"
    """Which qrels to use."""
    drop_self: bool = False
    """Drop the document that has the query's own id from each result."""

    def fingerprint(self) -> list[str]:
        """The digests of the files, for content keys."""
        folder = self._folder()
        tables = [required_table(folder, "corpus"), required_table(folder, "queries")]
        return [file_digest(path) for path in (*tables, qrels_file(folder, self.split))]

    def load(self) -> Task:
        """Read and check everything; only judged queries are kept."""
        folder = self._folder()
        texts = {identifier: text for _, identifier, text in query_rows(folder)}
        corpus = _corpus(folder)
        known = set(corpus.ids)
        qrels: dict[str, dict[str, int]] = {}
        for where, query, document, grade in qrels_rows(folder, self.split):
            if query not in texts:
                raise DataError(f"query {query} is not in queries", where=where)
            if document not in known:
                raise DataError(f"document {document} is not in the corpus", where=where)
            qrels.setdefault(query, {})[document] = grade
        judged = len(qrels)
        qrels = {query: grades for query, grades in qrels.items() if max(grades.values()) > 0}
        if len(qrels) < judged:
            left_out = judged - len(qrels)
            log.warning("%s: %d queries without a relevant document left out", folder, left_out)
        if not qrels:
            where = str(qrels_file(folder, self.split))
            raise DataError("no query has a relevant document", where=where)
        queries = {query: texts[query] for query in qrels}
        name = self.name or folder.resolve().name
        fingerprint = texts_digest(_parts(corpus, queries, qrels))
        return Task(name, self.split, corpus, queries, qrels, fingerprint, self.drop_self)

    def _folder(self) -> Path:
        folder = Path(self.path).expanduser()
        if not folder.is_dir():
            raise DataError("no such folder", where=str(folder))
        return folder


def _corpus(folder: Path) -> Corpus:
    corpus = Corpus([], [], [])
    empty = 0
    for _, identifier, title, text in corpus_rows(folder):
        corpus.ids.append(identifier)
        corpus.titles.append(title)
        corpus.texts.append(text)
        empty += not (title.strip() or text.strip())
    if not corpus.ids:
        raise DataError("the corpus is empty", where=str(required_table(folder, "corpus")))
    if empty:
        log.warning("%s: %d documents have neither title nor text", folder, empty)
    return corpus


def _parts(
    corpus: Corpus, queries: dict[str, str], qrels: dict[str, dict[str, int]]
) -> Iterator[str]:
    for column in (corpus.ids, corpus.titles, corpus.texts):
        yield str(len(column))
        yield from column
    for query in sorted(queries):
        yield from (query, queries[query])
        for document in sorted(qrels[query]):
            yield from (document, str(qrels[query][document]))
