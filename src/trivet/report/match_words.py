"""Tokens as a reader wants them: pieces joined to words, a match with the words around it."""

from __future__ import annotations

from html import escape as escape_html

from trivet.models.reading import Token

GROUPS = {
    "text": "Words of the query",
    "prompt": "Prompt",
    "marker": "Markers and special tokens",
    "special": "Markers and special tokens",
    "expansion": "Query expansion",
}
_AROUND = 26  # letters of a match's surroundings, either side
_SCRIPTS_WITHOUT_BLANKS = "\u2e80"  # from here on: Chinese, Japanese, Korean, emoji


def escape(text: str) -> str:
    """Text for HTML, in elements and attributes; what cannot be shown is shown as such."""
    shown = "".join(c if c in "\t\n\r" or c.isprintable() or ord(c) > 159 else "�" for c in text)
    return escape_html(shown.replace("\r", "\n"))


def number(value: float, sign: bool = False) -> str:
    """Three digits, a minus that is one."""
    shown = f"{value:+.3f}" if sign else f"{value:.3f}"
    return ("0.000" if float(shown) == 0 else shown).replace("-", "−")


def letters(token: Token, text: str) -> str:
    """What a token covers of its text; what the model put there is shown by its name."""
    return text[token.start : token.end].strip() or token.piece.strip()


def words(tokens: list[Token], text: str) -> list[tuple[str, list[int]]]:
    """The query's words with the numbers of their tokens; expansion tokens are one word."""
    found: list[tuple[str, list[int]]] = []
    for i, token in enumerate(tokens):
        before = tokens[i - 1] if i else None
        if before is not None and joined(before, token, text):
            found[-1][1].append(i)
        else:
            found.append(("", [i]))
    return [(_label([tokens[i] for i in places], text), places) for _, places in found]


def joined(before: Token, token: Token, text: str) -> bool:
    """Whether a token goes on with the word of the one before."""
    if before.kind != token.kind:
        return False
    if token.kind == "expansion":
        return True
    if token.kind != "text" or token.start > before.end:
        return False
    if token.start < before.end:  # parts of one letter
        return True
    last, first = text[before.end - 1], text[token.start]
    return last.isalnum() and first.isalnum() and max(last, first) < _SCRIPTS_WITHOUT_BLANKS


def _label(tokens: list[Token], text: str) -> str:
    if tokens[0].kind == "expansion":
        return f"{len(tokens)} × {tokens[0].piece}"
    if tokens[0].kind != "text":
        return tokens[0].piece.strip()
    return text[tokens[0].start : tokens[-1].end].strip() or tokens[0].piece


def around(token: Token, text: str) -> str:
    """A match in bold, with some of the text on either side, as HTML."""
    if token.kind != "text":
        return f'<b class="made">{escape(token.piece.strip())}</b>'
    before, after = text[: token.start], text[token.end :]
    if len(before) > _AROUND:
        before = "…" + _from_a_blank(before[-_AROUND:])
    if len(after) > _AROUND:
        after = _from_a_blank(after[:_AROUND][::-1])[::-1] + "…"
    middle = escape(text[token.start : token.end])
    return f'<bdi dir="auto">{escape(before)}<b>{middle}</b>{escape(after)}</bdi>'


def _from_a_blank(text: str) -> str:
    """Without the part of a word that it begins with, where there are words."""
    return text.partition(" ")[2] if " " in text[:-1] else text
