"""What generated tasks draw: the same seed gives the same bytes, whatever the Python.

Python promises that `random()` of a seed stays the same between its versions, and promises no such
thing of `shuffle` and `sample`; so these are made from `random()` alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import TypeVar

from trivet.core.errors import ConfigError
from trivet.core.places import asset
from trivet.core.seeds import derive

T = TypeVar("T")


def stream(seed: int, *names: str | int) -> Random:
    """A stream of random numbers of its own for a purpose."""
    return Random(derive(seed, *names))


def below(random: Random, end: int) -> int:
    """One of 0..end-1."""
    return int(random.random() * end)


def draw(random: Random, items: Iterable[T], count: int | None = None) -> list[T]:
    """So many different ones of the items, in random order; without a count all of them."""
    pool = list(items)
    count = len(pool) if count is None else count
    for i in range(count):
        j = i + below(random, len(pool) - i)
        pool[i], pool[j] = pool[j], pool[i]
    return pool[:count]


def draw_names(random: Random, count: int) -> list[str]:
    """So many different people, each with a first name and a surname."""
    first, last = words("limit/first_names.txt"), words("limit/last_names.txt")
    if count > len(first) * len(last):
        what = f"there are {len(first) * len(last)} names, not {count}"
        raise ConfigError(what, where="documents", fix="Ask for fewer")
    picks = draw(random, range(len(first) * len(last)), count)
    return [f"{first[pick % len(first)]} {last[pick // len(first)]}" for pick in picks]


def words(name: str) -> list[str]:
    """The lines of a word list that ships with trivet."""
    return asset(name).read_text(encoding="utf-8").splitlines()
