"""The documents that are mined: each once, and how alike two of them are.

Two texts are the same if their words are, whatever the case and the punctuation. Nearly the same
is Broder's containment, "On the resemblance and containment of documents", 1997: the share of the
shorter text's runs of words that stand in the other one too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import xxhash

from trivet.core.beir import corpus_rows
from trivet.core.records import Corpus
from trivet.data.sources import Source
from trivet.data.table import Table

_WORDS = re.compile(r"\w+")
_HELD = 1 << 14  # texts whose runs of words are kept: good candidates come again and again


def name_of(text: str) -> int:
    """A number that is equal where the words are; a text without words stands for itself."""
    return xxhash.xxh3_64_intdigest((" ".join(_words(text)) or text).encode())


@lru_cache(_HELD)
def shingles(text: str, size: int) -> frozenset[tuple[str, ...]]:
    """All runs of so many words; a text of fewer words is one run."""
    words = _words(text)
    runs = zip(*(words[start:] for start in range(size)), strict=False)
    return frozenset(runs) or frozenset([tuple(words)])


def containment(one: str, other: str, size: int) -> float:
    """The share of the shorter text's runs that the other has, 0 to 1."""
    first, second = shingles(one, size), shingles(other, size)
    return len(first & second) / min(len(first), len(second))


class Documents:
    """Distinct documents, each with its row."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Keep the first of those that are the same; a blank one answers nothing."""
        self.texts: list[str] = []
        self._rows: dict[int, int] = {}
        for text in texts:
            if text.strip():
                name = name_of(text)
                if name not in self._rows:
                    self._rows[name] = len(self.texts)
                    self.texts.append(text)

    @classmethod
    def of(cls, source: Source, table: Table, others: Table | None = None) -> Documents:
        """All documents of a source, the whole corpus if it is a BEIR folder, and of `others`."""
        tables = [table] if others is None else [table, others]
        return cls(text for part in (_corpus(source), *map(_texts, tables)) for text in part)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.texts)

    def row(self, text: str) -> int | None:
        """The row of the document with these words."""
        return self._rows.get(name_of(text))

    def corpus(self) -> Corpus:
        """For a retriever; ids are rows, so ties have one order always."""
        ids = [f"{row:012d}" for row in range(len(self.texts))]
        return Corpus(ids, [""] * len(ids), self.texts)


def _corpus(source: Source) -> Iterator[str]:
    if source.beir is not None:
        for _, _, title, text in corpus_rows(Path(source.beir).expanduser()):
            yield f"{title} {text}".strip()


def _texts(table: Table) -> Iterator[str]:
    for _, _, documents in table.texts():
        yield from documents


def _words(text: str) -> list[str]:
    return _WORDS.findall(text.lower())
