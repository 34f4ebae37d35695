"""The ledger: one line for every evaluation, appended and never changed.

A row holds its pedigree: what was measured, on which data, by which model with which prompts and
lengths, with which software on which hardware. Its per-query scores and its ranking lie beside the
ledger under the row's id, the manifests of its models under their keys.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

from trivet import __version__
from trivet.bench.evaluate import Result
from trivet.bench.manifests import keep_manifests
from trivet.bench.task import Task
from trivet.bench.trec import write_ranking
from trivet.core.errors import ConfigError, DataError
from trivet.core.files import write_json
from trivet.core.hashing import json_digest
from trivet.core.lease import leased
from trivet.core.machine import hardware
from trivet.core.remote import Remote
from trivet.core.tables import lines
from trivet.core.versions import git_revision, library_versions

log = logging.getLogger(__name__)

FIELDS: dict[str, tuple[type, ...]] = {
    "id": (str,),
    "time": (str,),
    "trivet": (str,),
    "label": (str,),
    "bench": (str,),
    "task": (str,),
    "split": (str,),
    "data": (str,),
    "documents": (int,),
    "queries": (int,),
    "k": (int,),
    "drop_self": (bool,),
    "retriever": (dict,),
    "seed": (int, type(None)),
    "in_domain": (bool,),
    "metrics": (dict,),
    "seconds": (dict,),
    "libraries": (dict,),
    "git": (dict, type(None)),
    "hardware": (dict,),
    "command": (str,),
    "per_query": (str,),
    "ranking": (str,),
}
OPTIONAL: dict[str, tuple[type, ...]] = {
    "sweep": (dict, type(None)),  # absent or None: the model is of no sweep
}
SWEEP: dict[str, tuple[type, ...]] = {
    "name": (str,),  # of the ablation
    "level": (dict,),  # what this run overrides, by its key, less the seed
    "baseline": (dict, type(None)),  # the settings of the level that others are set against
}
RETRIEVER: dict[str, tuple[type, ...]] = {
    "kind": (str,),
    "model": (str,),
    "model_key": (str, type(None)),  # None: nothing was learned
    "precision": (str,),
    "prompts": (dict,),
    "lengths": (dict,),
    "in_domain": (list,),
    "trained_on": (list, type(None)),  # None: not known
}


class Ledger:
    """A file of JSON lines and the folders beside it."""

    def __init__(self, path: Path, remote: Remote | None = None) -> None:
        """Use a file; it is made with the first row. Rows go to a remote place, too, if given."""
        self.path, self.remote = path, remote

    def check_place(self) -> None:
        """Refuse a place that cannot be written, before any work; nothing is made yet."""
        folder = self.path.absolute().parent
        while not folder.exists():
            folder = folder.parent
        free = folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
        if self.path.exists():
            free = free and self.path.is_file() and os.access(self.path, os.W_OK)
        if not free:
            fix = "Name another file with --ledger"
            raise ConfigError("the ledger cannot be written", where=str(self.path), fix=fix)

    def add(
        self,
        result: Result,
        *,
        bench: str,
        command: str,
        label: str = "",
        sweep: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Write a result's scores and ranking, then append its row."""
        row = make_row(result, bench=bench, command=command, label=label, sweep=sweep)
        try:
            self._keep(result, row)
            self.append(row)
            if self.remote is not None:
                self.remote.add_row(row, self.path.parent)
        except OSError as error:
            what = f"a row cannot be written ({error.strerror or error})"
            raise DataError(what, where=str(self.path)) from None
        return row

    def _keep(self, result: Result, row: dict[str, Any]) -> None:
        """Scores and ranking first: a row never names a file that is not there."""
        scores = {
            "queries": result.ranking.queries,
            "relevant": _relevant(result.task),
            **{name: values.tolist() for name, values in result.per_query.items()},
        }
        folder = self.path.parent
        (folder / "per_query").mkdir(parents=True, exist_ok=True)
        write_json(folder / row["per_query"], scores, indent=None)
        write_ranking(folder / row["ranking"], result.ranking, row["id"])
        keep_manifests(folder, row["retriever"])

    def append(self, row: dict[str, Any]) -> None:
        """Add one line, whole, after a check; one writer at a time."""
        check(row)
        line = json.dumps(row, sort_keys=True, allow_nan=False) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = self.path.with_name(f".{self.path.name}.lock")
        with leased(lock, wait=600, what="the ledger", told=log.debug):
            _append(self.path, line.encode())

    def collect(self, remote: Remote) -> int:
        """Append the rows of a remote place that are not here yet, with their files; how many."""
        here = {row["id"] for row in self.read()}
        rows = [row for row in remote.rows() if row["id"] not in here]
        for row in rows:
            check(row)
            for name in (row["per_query"], row["ranking"]):
                remote.fetch(name, self.path.parent / name)
            self.append(row)
        return len(rows)

    def read(self) -> Iterator[dict[str, Any]]:
        """All rows, checked; a line that is none is an error that names it.

        A last line without its end is left out: its writer is at it, or was killed, and the next
        row takes its place.
        """
        if not self.path.is_file():
            return
        for number, line in lines(self.path):
            if not line.endswith("\n") and not _is_json(line):
                log.warning("%s:%d: a row whose writer was stopped is left out", self.path, number)
                return
            try:
                row = json.loads(line)
                check(row)
            except (json.JSONDecodeError, DataError) as error:
                what = f"not a ledger row ({error})"
                fix = "Write it as it was, or delete the line"
                raise DataError(what, where=f"{self.path}:{number}", fix=fix) from None
            yield row


def _relevant(task: Task) -> dict[str, list[str]]:
    """Each query's relevant documents: queries that share some are not independent."""
    return {
        query: [document for document, grade in grades.items() if grade > 0]
        for query, grades in task.qrels.items()
    }


def _append(path: Path, line: bytes) -> None:
    """One write for the whole line, in place of what a killed writer began and never finished.

    A kill can cut even a single write, between two pages of the file.
    """
    with path.open("ab+", buffering=0) as stream:
        end = stream.seek(0, os.SEEK_END)
        rest = _unfinished(stream, end)
        if rest and _is_json(rest):
            line = b"\n" + line
        elif rest:
            log.warning("%s: a row whose writer was stopped is dropped", path)
            stream.truncate(end - len(rest))
        stream.write(line)
        os.fsync(stream.fileno())


def _unfinished(stream: FileIO, end: int, block: int = 65536) -> bytes:
    """What follows the last line end."""
    rest = b""
    while end > 0 and b"\n" not in rest:
        start = max(0, end - block)
        stream.seek(start)
        rest = stream.read(end - start) + rest
        end = start
    return rest.rpartition(b"\n")[2]


def _is_json(text: str | bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def make_row(
    result: Result,
    *,
    bench: str,
    command: str,
    label: str = "",
    sweep: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The row of a result, named by its model if not by a label; its id hashes all of it."""
    task = result.task
    retriever = dict(result.retriever)
    named = "kind" if retriever["kind"] == "bm25" else "model"  # BM25's model is a library
    row: dict[str, Any] = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "trivet": __version__,
        "label": label or str(retriever[named]),
        "bench": bench,
        "task": task.name,
        "split": task.split,
        "data": task.fingerprint,
        "documents": len(task.corpus),
        "queries": len(task.queries),
        "k": result.k,
        "drop_self": task.drop_self,
        "retriever": retriever,
        "seed": retriever.pop("train_seed", None),
        "in_domain": task.name in retriever.get("in_domain", []),
        "metrics": result.metrics,
        "seconds": result.seconds,
        "libraries": library_versions(),
        "git": git_revision(),
        "hardware": hardware(),
        "command": command,
        **({} if sweep is None else {"sweep": sweep}),
    }
    _check_numbers(row, "ledger row")
    identifier = json_digest([row, os.getpid(), time.time_ns()])[:16]
    files = {
        "per_query": f"per_query/{identifier}.json",
        "ranking": f"rankings/{identifier}.trec.gz",
    }
    return {"id": identifier, **row, **files}


def check(row: dict[str, Any]) -> None:
    """Refuse a row that lacks a field, holds a wrong type, or a number that is none."""
    if type(row) is not dict:
        raise DataError("not an object", where="ledger row")
    _check_fields(row, FIELDS, "ledger row")
    _check_fields(row["retriever"], RETRIEVER, "ledger row's retriever")
    there = {name: kinds for name, kinds in OPTIONAL.items() if name in row}
    _check_fields(row, there, "ledger row")
    if row.get("sweep") is not None:
        _check_fields(row["sweep"], SWEEP, "ledger row's sweep")
    unknown = sorted(row.keys() - FIELDS.keys() - OPTIONAL.keys())
    if unknown:
        raise DataError(f"unknown field {unknown[0]}", where="ledger row")
    for name, value in row["metrics"].items():
        if type(value) is not float:
            raise DataError(f"metric {name} is {value}", where="ledger row")
    _check_numbers(row, "ledger row")


def _check_fields(row: dict[str, Any], fields: dict[str, tuple[type, ...]], where: str) -> None:
    for name, kinds in fields.items():
        if name not in row:
            raise DataError(f"no field {name}", where=where)
        if type(row[name]) not in kinds:  # exact: True is no number
            raise DataError(f"field {name} holds {type(row[name]).__name__}", where=where)


def _check_numbers(value: Any, where: str) -> None:
    """JSON has no NaN and no infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        raise DataError(f"{value} is not a number", where=where)
    if isinstance(value, dict):
        for name, item in value.items():
            _check_numbers(item, f"{where}, {name}")
    if isinstance(value, list):
        for item in value:
            _check_numbers(item, where)
