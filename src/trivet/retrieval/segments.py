"""An index of learned terms on disk, in segments: runs of documents, their terms by column.

A segment is one file with its checksum in its name, written aside and renamed last: one that was
cut off in the middle is not there, and one whose bytes have changed is made again. It is named by
its documents' texts and what encoded them, so a collection that has grown keeps its segments, and
only the new documents are encoded. Columns are mapped into memory and read when a query asks.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from trivet.core.lock import only_one
from trivet.core.mapped import is_sound, mapped, write
from trivet.core.ragged import Ragged
from trivet.core.ranks import first, gather, wait
from trivet.retrieval.cache import Cache
from trivet.retrieval.postings import Postings
from trivet.retrieval.vectors import Vectors

log = logging.getLogger("trivet")
_DAY = 86400.0
SIZE = 1 << 18  # documents of a segment at most: their scores stay in a CPU's cache
Key = Callable[[Sequence[str]], "dict[str, Any] | None"]  # of some documents' terms
Make = Callable[["dict[str, Any] | None", int, int], Vectors]  # documents of a run, encoded


@dataclass(frozen=True)
class Segment:
    """A run of documents: their raw term weights by term, and how many were cut."""

    documents: int
    postings: Postings  # rows count from the run's first document
    truncated: int

    @classmethod
    def of(cls, made: Vectors, documents: int, vocabulary: int) -> Segment:
        """From encoded documents in any order."""
        rows = [torch.empty(0, dtype=torch.int64)]
        texts: list[Ragged] = []
        for shard in made:
            assert isinstance(shard.vectors, Ragged)
            rows.append(shard.rows)
            texts.append(shard.vectors)
        values = torch.cat([torch.empty(0, 2), *(part.values for part in texts)])
        lengths = torch.cat([torch.empty(0, dtype=torch.int64), *(t.lengths for t in texts)])
        owners = torch.cat(rows).repeat_interleave(lengths).numpy()
        terms, weights = values.numpy().T
        postings = Postings.of(terms.astype("int32"), owners, weights, vocabulary)
        return cls(documents, postings, made.truncated())

    def save(self, folder: Path) -> Path:
        """Write it whole, under a name that holds its checksum."""
        arrays = {name: getattr(self.postings, name) for name in ("starts", "rows", "values")}
        facts = {"documents": self.documents, "truncated": self.truncated}
        return write(folder, "segment", arrays, facts)

    @classmethod
    def open(cls, path: Path) -> Segment:
        """Map it into memory."""
        arrays, metadata = mapped(path)
        facts = json.loads(metadata["trivet"])
        return cls(facts["documents"], Postings(**arrays), facts["truncated"])


def collect(
    cache: Cache, key: Key, texts: Sequence[str], vocabulary: int, make: Make
) -> list[Segment]:
    """The segments of a corpus in its order: those that are there, and the others, made and kept.

    Args:
        cache: where they are kept.
        key: what decides a run's terms; None where the model has no name to keep them under.
        texts: all documents.
        vocabulary: how many terms there are.
        make: encodes the documents from one place to another.
    """
    return [
        _segment(cache, key(texts[start:stop]), start, stop, vocabulary, make)
        for start, stop in _runs(cache, key, texts)
    ]


def _runs(cache: Cache, key: Key, texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """From where to where segments reach: as those that are there do, else as far as they can."""
    held: dict[int, set[str]] = {}  # by their number of documents, the digests of texts
    own = key([])
    if own is not None and cache.use:
        own = _rest(own)
        for entry in cache.entries():
            if _rest(entry.facts) == own and any(entry.path.glob("segment.*.safetensors")):
                held.setdefault(int(entry.facts["documents"]), set()).add(entry.facts["texts"])
    held = gather(held)[0]  # as the first process sees it
    start = 0
    while start < len(texts):
        stop = min(start + SIZE, len(texts))
        for count in sorted(held, reverse=True):
            found = key(texts[start : start + count]) if start + count <= len(texts) else None
            if found is not None and found["texts"] in held[count]:
                stop = start + count
                break
        yield start, stop
        start = stop


def _rest(key: dict[str, Any]) -> dict[str, Any]:
    """What segments of one index share."""
    return {k: value for k, value in key.items() if k not in ("texts", "documents", "model")}


def _segment(
    cache: Cache, key: dict[str, Any] | None, start: int, stop: int, vocabulary: int, make: Make
) -> Segment:
    folder = None if key is None or not cache.use else cache.open(key)
    if folder is None:
        return Segment.of(make(None, start, stop), stop - start, vocabulary)
    # another run that makes the same one is waited for: its shards are gone when it has ended
    alone = only_one(folder / ".making", wait=_DAY, what="this index") if first() else nullcontext()
    with alone:
        found = gather(_sound(folder) if first() else None)[0]
        if found is not None:
            return Segment.open(found)
        segment = Segment.of(make(key, start, stop), stop - start, vocabulary)
        wait()  # until every process has read what the others encoded
        if not first():
            return segment
        try:
            segment = Segment.open(segment.save(folder))
        except OSError as error:
            log.warning("a segment is kept in memory only: %s (%s)", folder, error.strerror)
            return segment
        for path in folder.glob("[0-9]*.safetensors"):  # the segment holds what was in them
            path.unlink(missing_ok=True)
        return segment


def _sound(folder: Path) -> Path | None:
    """The segment that is there; a damaged one is removed, and what was cut off in writing."""
    for path in folder.glob(".segment.*.part"):
        path.unlink(missing_ok=True)
    for path in sorted(folder.glob("segment.*.safetensors")):
        if is_sound(path):
            return path
        log.warning("%s: damaged, made again", path)
        path.unlink(missing_ok=True)
    return None
