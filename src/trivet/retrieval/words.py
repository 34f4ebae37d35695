"""Texts to words: the two pipelines that lexical retrievers share."""

from __future__ import annotations

import re
import string
import sys
from dataclasses import dataclass
from typing import Any, Literal

from trivet.core.errors import ConfigError

Pipeline = Literal["bm25", "bmx"]
_PATTERNS: dict[Pipeline, str] = {"bm25": r"(?u)\b\w\w+\b", "bmx": r"\S+"}
_PLAIN = str.maketrans(
    dict.fromkeys("\u2018\u2019\u00b4", "'")
    | dict.fromkeys("\u201c\u201d", '"')
    | dict.fromkeys("\u2013\u2014", "-")
)
_SPACED = str.maketrans(dict.fromkeys(string.punctuation, " "))
_ACRONYM_DOT = re.compile(r"\.(?!\d|\S[^. ])")  # the dots of u.s., not those of 2.5 or example.org


@dataclass(frozen=True)
class Words:
    """Splits, drops stop words, stems.

    `bm25` lowercases and takes runs of two or more word characters. `bmx` does what the authors of
    BMX do: lowercase, "&" to "and", plain quotes and dashes, no dots in acronyms, punctuation to
    spaces, split at spaces. Their stop words are NLTK's 179 English ones, which bm25s ships as
    `en_plus`; their stemmer is NLTK's Snowball, here it is PyStemmer's, which may treat a rare word
    in another way.
    """

    pipeline: Pipeline
    stemmer: str | None
    stop_words: str | None

    def __post_init__(self) -> None:
        """A stemmer and a list of stop words that exist."""
        if self.stemmer is not None:
            import Stemmer

            if self.stemmer not in Stemmer.algorithms():
                fix = f"There is: {', '.join(Stemmer.algorithms())}"
                raise ConfigError(f"no stemmer {self.stemmer}", where="stemmer", fix=fix)
        if self.stop_words is not None:
            import bm25s

            try:
                bm25s.tokenize("", stopwords=self.stop_words, show_progress=False)
            except ValueError:
                what = f"no stop words {self.stop_words}"
                fix = "Use a language that bm25s knows, such as en or de, or null"
                raise ConfigError(what, where="stop_words", fix=fix) from None

    def __call__(self, texts: list[str]) -> list[list[str]]:
        """The words of each text."""
        return self._tokenize(texts, ids=False)

    def numbered(self, texts: list[str]) -> Any:
        """The words as numbers, `ids`, and the number of each word, `vocab`."""
        return self._tokenize(texts, ids=True)

    def _tokenize(self, texts: list[str], *, ids: bool) -> Any:
        import bm25s
        import Stemmer

        stemmer: Any = Stemmer.Stemmer(self.stemmer) if self.stemmer else None
        return bm25s.tokenize(
            [clean(text) for text in texts] if self.pipeline == "bmx" else texts,
            token_pattern=_PATTERNS[self.pipeline],
            stopwords=self.stop_words if self.stop_words is not None else [],
            stemmer=stemmer,
            return_ids=ids,
            show_progress=ids and sys.stderr.isatty(),
            leave=False,
        )


def clean(text: str) -> str:
    """A text as the `bmx` pipeline has it before it is split."""
    text = text.lower().replace("&", " and ").translate(_PLAIN)
    return _ACRONYM_DOT.sub("", text).translate(_SPACED)
