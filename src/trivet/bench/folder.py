"""Any folder in BEIR layout as a task, checked at the door."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from trivet.bench.assemble import assemble
from trivet.bench.task import Task
from trivet.core.beir import corpus_rows, qrels_file, qrels_rows, query_rows, required_table
from trivet.core.errors import DataError
from trivet.core.hashing import file_digest
from trivet.core.schema import unkeyed


@dataclass
class Folder:
    """A folder with corpus, queries and qrels/<split>, of any table kind, plain, .gz or .zst."""

    path: str = unkeyed()
    """The folder."""
    name: str = ""
    """What the task is called; empty is the folder's name."""
    split: str = "test"
    """Which qrels to use."""
    drop_self: bool = False
    """Drop the document that has the query's own id from each result."""
    lengths: dict[str, int] = field(default_factory=dict[str, int])
    """Content tokens of `query` and `document` that late interaction uses on this task."""
    prompts: dict[str, str] = field(default_factory=dict[str, str])
    """What a model is told before a `query` and a `document` of this task."""

    def fingerprint(self) -> list[str]:
        """The digests of the files."""
        folder = self._folder()
        tables = [required_table(folder, "corpus"), required_table(folder, "queries")]
        return [file_digest(path) for path in (*tables, qrels_file(folder, self.split))]

    def load(self) -> Task:
        """Read and check everything; only judged queries are kept."""
        folder = self._folder()
        return assemble(
            self.name or folder.resolve().name,
            self.split,
            corpus_rows(folder),
            query_rows(folder),
            qrels_rows(folder, self.split),
            where=str(folder),
            drop_self=self.drop_self,
            lengths=self.lengths,
            prompts=self.prompts,
        )

    def _folder(self) -> Path:
        folder = Path(self.path).expanduser()
        if not folder.is_dir():
            raise DataError("no such folder", where=str(folder))
        return folder
