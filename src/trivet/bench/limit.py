"""Tasks like LIMIT: trivial to read, and more pairs of answers than a small vector can order.

Weller et al., "On the Theoretical Limitations of Embedding-Based Retrieval",
https://arxiv.org/abs/2508.21038. People like things, queries ask who likes one of them. The words
are trivet's own, so the numbers are not those of the published corpus.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Literal

from trivet.bench.assemble import assemble
from trivet.bench.draws import below, draw, draw_names, stream, words
from trivet.bench.task import Task
from trivet.core.errors import ConfigError
from trivet.core.hashing import file_digest, json_digest
from trivet.core.places import asset

_VERSION = 1  # raise it when the same fields make other texts
_FILES = ("items.txt", "first_names.txt", "last_names.txt")


@dataclass
class Limit:
    """A generated task: who likes what, each thing liked by a few people."""

    name: str = "limit-generated"
    """What the task is called."""
    documents: int = 50_000
    """People."""
    queries: int = 1_000
    """Things that are asked for, each once."""
    relevant: int = 2
    """People who like each of them."""
    pattern: Literal["dense", "random", "cycle", "disjoint"] = "dense"
    """Who shares an answer with whom: all combinations of few people, chance, a ring, nobody."""
    items: int = 45
    """Things that each person likes."""
    seed: int = 0
    """Names, things and their order."""

    def __post_init__(self) -> None:
        """Enough people and things for the pattern."""
        for name in ("documents", "queries", "relevant", "items"):
            if getattr(self, name) < 1:
                raise ConfigError("must be at least 1", where=name)
        spare = len(words("limit/items.txt")) - self.queries
        if spare < self.items:
            what = f"{max(spare, 0)} things are left to fill documents with, items is {self.items}"
            raise ConfigError(what, where="queries", fix="Ask fewer queries")
        needed = self._people()
        if needed > self.documents:
            what = f"the pattern {self.pattern} needs {needed} documents"
            raise ConfigError(what, where="documents", fix="Raise it, or ask fewer queries")
        most = max(Counter(row for rows in self._pairs() for row in rows).values())
        if most > self.items:
            what = f"one document answers {most} queries, items is {self.items}"
            raise ConfigError(what, where="items", fix="Raise it, or ask fewer queries")

    def fingerprint(self) -> list[str]:
        """The fields, the word lists and the version of the code."""
        lists = [file_digest(asset(f"limit/{name}")) for name in _FILES]
        return [json_digest([_VERSION, dataclasses.asdict(self), lists])]

    def load(self) -> Task:
        """Make people, what they like, and the queries."""
        things = draw(stream(self.seed, "limit", "items"), words("limit/items.txt"))
        asked, fillers = things[: self.queries], things[self.queries :]
        names = draw_names(stream(self.seed, "limit", "names"), self.documents)
        pairs = self._pairs()
        likes: list[list[str]] = [[] for _ in names]
        for thing, rows in zip(asked, pairs, strict=True):
            for row in rows:
                likes[row].append(thing)
        random = stream(self.seed, "limit", "likes")
        return assemble(
            self.name,
            "test",
            (
                (self.name, n, "", self._text(random, n, own, fillers))
                for n, own in zip(names, likes, strict=True)
            ),
            ((self.name, f"query_{i}", f"Who likes {thing}?") for i, thing in enumerate(asked)),
            (
                (self.name, f"query_{i}", names[row], 1)
                for i, rows in enumerate(pairs)
                for row in rows
            ),
            where=self.name,
        )

    def _text(self, random: Random, name: str, own: list[str], fillers: list[str]) -> str:
        liked = draw(random, own + draw(random, fillers, self.items - len(own)))
        listed = f"{', '.join(liked[:-1])} and {liked[-1]}" if len(liked) > 1 else liked[0]
        return f"{name} likes {listed}."

    def _people(self) -> int:
        """How many documents the pattern spreads the answers over, at least."""
        if self.pattern == "disjoint":
            return self.queries * self.relevant
        if self.pattern == "cycle":
            return max(self.queries, self.relevant + 1)
        people = self.relevant
        while math.comb(people, self.relevant) < self.queries:
            people += 1
        return people

    def _pairs(self) -> list[tuple[int, ...]]:
        """The relevant documents of query after query; no two queries have the same ones."""
        people, size = self._people(), self.relevant
        if self.pattern == "dense":
            combinations = itertools.combinations(range(people), size)
            return list(itertools.islice(combinations, self.queries))
        if self.pattern == "random":
            random, found = stream(self.seed, "limit", "pairs"), dict[tuple[int, ...], None]()
            while len(found) < self.queries:
                rows = {below(random, self.documents) for _ in range(size)}
                if len(rows) == size:
                    found[tuple(sorted(rows))] = None
            return list(found)
        step = size if self.pattern == "disjoint" else 1
        starts = range(0, self.queries * step, step)
        return [tuple((start + i) % people for i in range(size)) for start in starts]
