"""Texts that are made from something else: single sentences, and single tokens.

Distillation learns from both as well as from whole passages (https://arxiv.org/abs/2509.12539).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from trivet.core.errors import DataError
from trivet.core.hub import hub_files
from trivet.core.places import asset

# after a full stop and the like, perhaps in quotes, where a capital, a digit or a quote follows
_END = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[A-Z0-9])|\n\s*\n")
_FILE = "tokenizer.json"
_UNUSED = re.compile(r"\[unused\d+\]")


def sentences(text: str) -> Iterator[str]:
    """The sentences of an English text, by its punctuation and its empty lines."""
    start = 0
    for end in _END.finditer(text):
        yield from _whole(text[start : end.start() + len(end.group().rstrip())])
        start = end.end()
    yield from _whole(text[start:])


def tokenizer_file(name: str, revision: str) -> Path:
    """A tokenizer that ships with trivet, one of a local folder, or one of the hub."""
    shipped, local = asset(f"tokenizers/{name}"), Path(name).expanduser()
    folder = next((found for found in (shipped, local) if found.is_dir()), None)
    path = (folder or hub_files("model", name, revision, [_FILE])) / _FILE
    if not path.is_file():
        raise DataError(f"no {_FILE}", where=str(path.parent))
    return path


def token_texts(path: Path) -> Iterator[str]:
    """Each token as a text, once: the end of a word without the sign that says so.

    Special and unused ones, blanks and halves of characters are left out.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    inside = getattr(tokenizer.model, "continuing_subword_prefix", None) or ""  # WordPiece's ##
    seen: set[str] = set()
    for number in range(tokenizer.get_vocab_size()):
        text = tokenizer.decode([number], skip_special_tokens=True).strip()
        if len(text) > len(inside):
            text = text.removeprefix(inside)
        if _UNUSED.fullmatch(text):
            continue
        if text and "\ufffd" not in text and text not in seen:
            seen.add(text)
            yield text


def _whole(text: str) -> Iterator[str]:
    if joined := " ".join(text.split()):
        yield joined
