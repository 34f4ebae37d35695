"""What a site shows beside what it finds by itself: questions, by the labels of a ledger's rows.

Rows of a sweep say what they belong to. Rows that were labelled by hand do not; a small file names
them, as `trivet compare LABEL OTHER…` would.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trivet.core.errors import ConfigError
from trivet.core.schema import build

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True)
class Question:
    """Rows to be set against each other: levels against a baseline, or stages in their order."""

    name: str
    """The page's name: small letters, digits and hyphens."""
    title: str
    """The question, as a heading."""
    bench: str
    """The bench that the rows were measured on."""
    rows: list[str]
    """Labels or ids; the baseline first, or the first stage."""
    beside: list[str] = field(default_factory=list[str])
    """Labels shown for orientation and not tested."""
    text: str = ""
    """What a reader should know, one paragraph."""
    across: list[str] = field(default_factory=list[str])
    """Fields that may differ between the rows, as `trivet compare --across` has it."""

    def __post_init__(self) -> None:
        """A page of that name can be written, and there is something to compare."""
        if not _NAME.fullmatch(self.name):
            raise ConfigError(f"{self.name!r} is no page's name", where="name", fix="Write a-b-c")
        if len(self.rows) < 2:
            raise ConfigError("one row alone", where="rows", fix="Name a baseline and others")


@dataclass(frozen=True)
class Pages:
    """What the site is called, and which questions it answers."""

    title: str = "trivet report"
    """The site's heading."""
    text: str = ""
    """What a reader should know first, one paragraph."""
    metrics: dict[str, str] = field(default_factory=dict[str, str])
    """The metric of a bench, where it is not ndcg@10."""
    ablations: list[Question] = field(default_factory=list[Question])
    """Levels against a baseline."""
    ladders: list[Question] = field(default_factory=list[Question])
    """Stages of a recipe, each against the one before it."""

    def __post_init__(self) -> None:
        """No two pages have one name."""
        names = [question.name for question in (*self.ablations, *self.ladders)]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ConfigError(f"two pages are named {twice}", where="ablations, ladders")


def read_pages(path: Path | None) -> Pages:
    """The pages that a YAML file describes; without one only what is found."""
    if path is None:
        return Pages()
    import yaml

    try:
        node: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot be read ({error})", where=str(path)) from None
    try:
        pages = build(node or {}, Pages)
    except ConfigError as error:
        where = f"{path}, {error.where}" if error.where else str(path)
        raise ConfigError(error.what, where=where, fix=error.fix) from None
    assert isinstance(pages, Pages)
    return pages
