"""A task from the Hugging Face hub at a pinned revision, or from a local copy of it."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from trivet.bench.assemble import assemble
from trivet.bench.folder import Folder
from trivet.bench.task import Task
from trivet.core.beir import Located, documents, judged, judgements, queries
from trivet.core.errors import ConfigError, DataError
from trivet.core.hub import hub_dataset, hub_files, resolve_dataset
from trivet.core.schema import unkeyed
from trivet.core.tables import is_table, rows

Part = Literal["corpus", "queries", "qrels"]
Layout = Literal["beir", "nano", "longembed"]


@dataclass
class Hub:
    """A test collection on the hub, in one of the layouts that are in use there."""

    name: str
    """What the task is called; a local copy lies in a folder of that name."""
    dataset: str | None = None
    """The hub id; null: it may not be passed on, so only a local copy will do."""
    revision: str = "main"
    """The hub revision; a commit hash pins it."""
    layout: Layout = "beir"
    """beir: configurations corpus, queries, default; nano: corpus, queries, qrels, with one split;
    longembed: files of corpus, queries and qrels, whose paths hold the subset's name."""
    subset: str | None = None
    """Of the longembed layout: which files."""
    context: int | None = None
    """Of the longembed layout: only the rows of this context length."""
    split: str = "test"
    """Which qrels to use."""
    drop_self: bool = False
    """Drop the document that has the query's own id from each result."""
    lengths: dict[str, int] = field(default_factory=dict[str, int])
    """Content tokens of `query` and `document` that late interaction uses on this task."""
    prompts: dict[str, str] = field(default_factory=dict[str, str])
    """What a model is told before a `query` and a `document` of this task."""
    path: str | None = unkeyed(None)
    """A local copy in BEIR layout, read instead."""

    def __post_init__(self) -> None:
        """Only longembed has subsets and context lengths to choose from."""
        if self.layout != "longembed" and (self.subset is not None or self.context is not None):
            raise ConfigError("subset and context belong to layout longembed", where=self.name)

    def fingerprint(self) -> list[str]:
        """The digests of the local copy's files, or the hub's commit."""
        if self.path is not None:
            return self._copy(self.path).fingerprint()
        return [str(self.dataset), self._fetch(resolve_dataset, self.revision)]

    def load(self) -> Task:
        """Read and check everything; only judged queries are kept."""
        if self.path is not None:
            return self._copy(self.path).load()
        commit = self._fetch(resolve_dataset, self.revision)
        return assemble(
            self.name,
            self.split,
            documents(self._rows("corpus", commit)),
            queries(self._rows("queries", commit)),
            judgements(judged(self._rows("qrels", commit))),
            where=f"{self.dataset} at {commit}",
            drop_self=self.drop_self,
            lengths=self.lengths,
            prompts=self.prompts,
        )

    def _rows(self, part: Part, commit: str) -> Located:
        if self.layout == "longembed":
            return self._renamed(self._files(part, commit))
        if self.layout == "nano":
            subset, split = part, self.split
        else:
            subset, split = ("default", self.split) if part == "qrels" else (part, part)
        found = self._fetch(hub_dataset, subset, split, commit)
        return ((f"{self.dataset} {part} row {i}", row) for i, row in enumerate(found))

    def _files(self, part: Part, commit: str) -> Located:
        """The rows of a part's own files: a loader would want one set of columns for all parts."""
        pattern = f"*{self.subset}*{part}*"
        folder = self._fetch(partial(hub_files, "dataset"), commit, [pattern])
        found = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*"))]
        names = [n for n in found if fnmatch.fnmatchcase(n, pattern) and is_table(folder / n)]
        if not names:
            raise DataError(f"no file named {pattern}", where=f"{self.dataset} at {commit}")
        for name in names:
            for line, row in rows(folder / name):
                yield f"{self.dataset}, {name}:{line}", row

    def _renamed(self, rows: Located) -> Located:
        """LongEmbed's columns under BEIR's names; all that it judges is relevant."""
        for where, row in rows:
            if self.context is not None and row.get("context_length") != self.context:
                continue
            if "qid" in row and "doc_id" in row:
                names = {"query-id": row["qid"], "corpus-id": row["doc_id"], "score": 1}
            else:
                names = {"_id": row.get("doc_id", row.get("qid"))}
            yield where, {**row, **names}

    def _fetch(self, call: Callable[..., Any], *rest: Any) -> Any:
        """Ask the hub; a failure says which task it is and how to have it by hand."""
        by_hand = f"Put a copy in BEIR layout into DIR/{self.name}, and say --data DIR"
        if self.dataset is None:
            what = "not public: its licence lets nobody pass it on"
            raise DataError(what, where=self.name, fix=by_hand)
        try:
            return call(self.dataset, *rest)
        except DataError as error:
            where = f"{self.name}: {error.where}"
            raise DataError(error.what, where=where, fix=f"Connect, or: {by_hand}") from None

    def _copy(self, path: str) -> Folder:
        return Folder(
            path=path,
            name=self.name,
            split=self.split,
            drop_self=self.drop_self,
            lengths=self.lengths,
            prompts=self.prompts,
        )
