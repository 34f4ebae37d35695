"""A ranking that somebody else made: measured as it is, no retriever is run."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from trivet.bench.task import Task
from trivet.bench.trec import Run, read_run
from trivet.core.errors import DataError, TrivetError, nearest
from trivet.core.hashing import file_digest
from trivet.core.ranks import rank
from trivet.core.records import Corpus, Ranking
from trivet.core.schema import unkeyed

log = logging.getLogger("trivet")
_ENDINGS = (".trec", ".trec.gz", ".trec.zst")


@dataclass
class Given:
    """Runs in TREC's format, one a task."""

    path: str = unkeyed()
    """A file, or a folder with TASK.trec or TASK.trec.gz; a `/` in a task's name is `__` there."""
    _state: dict[str, Any] = field(default_factory=dict[str, Any], init=False, repr=False)

    def file_of(self, task: str) -> Path:
        """Where a task's run is."""
        place = Path(self.path).expanduser()
        if place.is_file():
            return place
        if not place.is_dir():
            raise DataError("no such file or folder", where=str(place))
        for ending in _ENDINGS:
            if (place / (task.replace("/", "__") + ending)).is_file():
                return place / (task.replace("/", "__") + ending)
        there = {item.name.split(".trec")[0].replace("__", "/") for item in place.glob("*.trec*")}
        raise DataError(f"no run of {task}", where=str(place), fix=nearest(task, there))

    def open(self, task: Task, depth: int) -> None:
        """Read a task's run; what is odd about it is told in a line each."""
        path = self.file_of(task.name)
        run = read_run(path, list(task.queries), task.corpus.ids)
        if run.missing == len(task.queries):
            raise DataError(f"no query of {task.name} is in it", where=str(path))
        if rank() == 0:
            _tell(path, run, min(depth, len(task.corpus)))
        self._state = {"path": path, "run": run, "digest": file_digest(path)}

    def index(self, corpus: Corpus) -> None:
        """Nothing is searched; the documents' ids were read with the run."""

    def search(self, ids: list[str], texts: list[str], k: int) -> Ranking:
        """The best k of what the run holds for these queries."""
        ranking = self._run().ranking
        places = {query: row for row, query in enumerate(ranking.queries)}
        mine = np.array([places[query] for query in ids], dtype=np.int64)
        rows, scores = ranking.rows[mine, :k], ranking.scores[mine, :k]
        return Ranking(ids, ranking.documents, rows, scores)

    def describe(self) -> dict[str, Any]:
        """The file, by its tag and its content; how it was made is not known."""
        run = self._run()
        return {
            "kind": "ranking",
            "model": run.tag or self._state["path"].name,
            "model_key": self._state["digest"],
            "missing_queries": run.missing,
            "precision": "unknown",
            "prompts": {},
            "lengths": {},
            "in_domain": [],
            "trained_on": None,
        }

    def _run(self) -> Run:
        if not self._state:
            raise TrivetError("search before open")
        return self._state["run"]


def _tell(path: Path, run: Run, depth: int) -> None:
    asked, held = run.ranking.rows.shape
    if run.missing:
        log.warning("%s: %d of %d queries are missing and count as 0", path, run.missing, asked)
    if run.unknown:
        log.warning("%s: %d queries that the task does not have, left out", path, run.unknown)
    if run.reordered:
        what = "in %d queries the ranks are not those of the scores, ties by id; scores count"
        log.warning("%s: " + what + ", as in trec_eval", path, run.reordered)
    if held < depth:
        log.warning("%s: at most %d documents a query where %d are looked at", path, held, depth)
