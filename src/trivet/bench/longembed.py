"""Passkey and Needle: one sentence hidden in a document of any length, and a question for it.

Zhu et al., "LongEmbed: Extending Embedding Models for Long Context Retrieval",
https://arxiv.org/abs/2404.12096. A document of N tokens has 0.75 N words. The procedure is the
published one; names, keys and facts are trivet's own, so the numbers are not those of the
published texts.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from trivet.bench.assemble import assemble
from trivet.bench.draws import below, draw, draw_names, stream
from trivet.bench.task import Task
from trivet.core.errors import ConfigError, DataError
from trivet.core.hashing import file_digest, json_digest
from trivet.core.places import asset
from trivet.core.schema import unkeyed
from trivet.core.tables import is_table, lines, rows, text_field

_VERSION = 1  # raise it when the same fields make other texts
_FILLER = (
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."
)
_NEEDLES = "longembed/needles.json"


@dataclass
class Passkey:
    """Who has which key, hidden in the same few sentences over and over."""

    name: str
    """What the task is called."""
    length: int
    """Tokens of a document, about."""
    documents: int = 100
    """Documents, each with the key of somebody else."""
    queries: int = 50
    """How many of them are asked for."""
    seed: int = 0
    """Names, keys and where they stand."""

    def __post_init__(self) -> None:
        """Numbers that make a task."""
        _check(self.length, self.documents, self.queries)

    def fingerprint(self) -> list[str]:
        """The fields, the word lists and the version of the code."""
        lists = [file_digest(asset(f"limit/{part}_names.txt")) for part in ("first", "last")]
        fields = [self.name, self.length, self.documents, self.queries, self.seed]
        return [json_digest(["passkey", _VERSION, fields, lists])]

    def load(self) -> Task:
        """Make the documents and the queries."""
        random = stream(self.seed, "passkey", self.length)
        names = draw_names(random, self.documents)
        keys = draw(random, range(10_000, 100_000), self.documents)
        texts: list[str] = []
        for name, key in zip(names, keys, strict=True):
            line = f"{name}'s pass key is {key}. Remember it. {key} is the pass key for {name}."
            filler = itertools.islice(itertools.cycle(_FILLER.split()), _room(self.length, line))
            texts.append(_hide(random, line, list(filler)))
        asked = [f"what is the passkey for {name}?" for name in names]
        return _task(self.name, random, texts, asked, self.queries)


@dataclass
class Needle:
    """A fact hidden in prose that has nothing to do with it."""

    name: str
    """What the task is called."""
    length: int
    """Tokens of a document, about."""
    path: str = unkeyed()
    """The prose: a folder with tables that have a column `text`, or else with .txt files."""
    documents: int = 100
    """Documents, each with a fact of its own; there are 100 facts."""
    queries: int = 50
    """How many of them are asked for."""
    seed: int = 0
    """Facts, where the prose is cut, and where they stand in it."""

    def __post_init__(self) -> None:
        """Numbers that make a task."""
        _check(self.length, self.documents, self.queries)
        if self.documents > len(_facts()):
            what = f"there are {len(_facts())} facts, not {self.documents}"
            raise ConfigError(what, where="documents", fix="Ask for fewer")

    def fingerprint(self) -> list[str]:
        """The fields, the facts, the prose and the version of the code."""
        files = [file_digest(path) for path in (asset(_NEEDLES), *_prose_files(self.path))]
        fields = [self.name, self.length, self.documents, self.queries, self.seed]
        return [json_digest(["needle", _VERSION, fields, files])]

    def load(self) -> Task:
        """Make the documents and the queries."""
        random = stream(self.seed, "needle", self.length)
        prose = _prose(self.path)
        facts = draw(random, _facts(), self.documents)
        texts: list[str] = []
        for fact, _ in facts:
            start = below(random, len(prose))
            cut = [prose[(start + i) % len(prose)] for i in range(_room(self.length, fact))]
            texts.append(_hide(random, fact, cut))
        asked = [question for _, question in facts]
        return _task(self.name, random, texts, asked, self.queries)


def _check(length: int, documents: int, queries: int) -> None:
    if length < 64:
        raise ConfigError("must be at least 64: the sentence needs room", where="length")
    if not 1 <= queries <= documents:
        raise ConfigError(f"{queries} queries of {documents} documents", where="queries")


def _room(length: int, line: str) -> int:
    """The words that a document has beside the hidden line."""
    return length * 3 // 4 - len(line.split())


def _hide(random: Random, line: str, prose: list[str]) -> str:
    """The line at a random place in the prose: between sentences, before the first, or last."""
    inner = [i for i, word in enumerate(prose[:-1], 1) if word[-1] in ".?!"]
    ends = [0, *inner, len(prose)]
    place = ends[below(random, len(ends))]
    return " ".join([*prose[:place], line, *prose[place:]])


def _task(
    name: str, random: Random, texts: Sequence[str], questions: Sequence[str], count: int
) -> Task:
    """Ask for some of the documents."""
    asked = sorted(draw(random, range(len(texts)), count))
    return assemble(
        name,
        "test",
        ((name, f"doc_{i}", "", text) for i, text in enumerate(texts)),
        ((name, f"query_{i}", questions[i]) for i in asked),
        ((name, f"query_{i}", f"doc_{i}", 1) for i in asked),
        where=name,
    )


def _facts() -> list[tuple[str, str]]:
    pairs = json.loads(asset(_NEEDLES).read_text(encoding="utf-8"))
    return [(pair["fact"], pair["question"]) for pair in pairs]


def _prose_files(path: str) -> list[Path]:
    folder = Path(path).expanduser()
    there = sorted(item for item in folder.iterdir() if item.is_file()) if folder.is_dir() else []
    files = [item for item in there if is_table(item)]
    files = files or [item for item in there if item.suffix == ".txt"]
    if not files:
        fix = "Name a folder of .txt files with --data"
        raise ConfigError("no prose to hide facts in", where=str(folder), fix=fix)
    return files


def _prose(path: str) -> list[str]:
    """All words, file after file."""
    words: list[str] = []
    for file in _prose_files(path):
        if is_table(file):
            for number, row in rows(file):
                words += text_field(row, "text", f"{file}:{number}").split()
        else:
            for _, line in lines(file):
                words += line.split()
    if not words:
        raise DataError("the prose is empty", where=path)
    return words
