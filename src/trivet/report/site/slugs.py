"""Names of pages, files and anchors, of any text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain, count


def slug(text: str) -> str:
    """Small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:80] or "page"


def slugs(texts: Sequence[str]) -> list[str]:
    """One for each of several texts, no two alike."""
    out: list[str] = []
    taken: set[str] = set()
    for text in texts:
        names = chain([slug(text)], (f"{slug(text)}-{n}" for n in count(2)))
        out.append(next(name for name in names if name not in taken))
        taken.add(out[-1])
    return out
