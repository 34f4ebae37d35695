"""Matches as one HTML file that needs nothing else: no network, no font, no script of others.

Shades are of one hue and grow in darkness alone, so they are told apart by everybody and in print;
what counts in the score is underlined, what is ahead or behind has a sign. All texts are escaped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from string import Template

from torch import Tensor

from trivet.core.places import asset
from trivet.models.reading import Token
from trivet.report.match_table import lead, name, table
from trivet.report.match_words import escape, joined, letters, number
from trivet.report.matches import Matched, Matches


@dataclass(frozen=True)
class Scale:
    """From no shade to the darkest."""

    low: float  # the middle token's best similarity: half of all tokens are left blank
    high: float

    @classmethod
    def of(cls, documents: list[Matched]) -> Scale:
        """The scale of a page."""
        best = sorted(v for one in documents for v in one.similarities.amax(0).tolist())
        return cls(best[len(best) // 2], best[-1])

    def shades(self, similarities: Tensor) -> Tensor:
        """From 0 to 1."""
        span = max(self.high - self.low, 1e-6)
        return ((similarities - self.low) / span).clamp(0, 1)


def page(found: Matches, facts: str = "") -> str:
    """The whole file. `facts`: how the model read the texts."""
    folder = asset("match")
    scale = Scale.of(found.documents)
    query = f"query {found.id}" if found.id else "a query"
    cards = "\n".join(_card(found, i, scale) for i in range(len(found.documents)))
    parts = {
        "title": escape(f"{found.query} · trivet explain"),
        "kicker": f"Which token matched which: {escape(query)}, {escape(found.model)}",
        "query": escape(found.query),
        "lead": lead(found),
        "buttons": _buttons(found, scale),
        "legend": _legend(scale, cards),
        "cards": cards,
        "sum": "Each query token takes the most similar token of a document. These similarities "
        "add up to the score by which the documents are ranked; figures are rounded one by one.",
        "table": table(found),
        "footer": escape(facts),
        "style": _read(folder / "style.css"),
        "script": _read(folder / "script.js"),
    }
    return Template(_read(folder / "page.html")).substitute(parts)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()


def _buttons(found: Matches, scale: Scale) -> str:
    """The query's tokens; the pieces of a word stand together."""
    out: list[str] = []
    first = found.documents[0]
    shades = scale.shades(first.similarities.amax(1)).tolist()
    for i, token in enumerate(found.tokens):
        go_on = i > 0 and token.kind == "text" and joined(found.tokens[i - 1], token, found.query)
        classes = f"{'made ' if token.kind != 'text' else ''}{'on-with' if go_on else ''}".strip()
        out.append(
            f'<button type="button" class="{classes}" data-q="{i}" aria-pressed="false" '
            f'style="--v:{shades[i]:.3f}"><bdi>{escape(letters(token, found.query))}</bdi></button>'
        )
    return "".join(out)


def _legend(scale: Scale, cards: str) -> str:
    """What the marks mean, of those that are there."""
    low, high = number(scale.low), number(scale.high)
    marks = {
        "t made": "[SEP]</span> put there by the model",
        "skip": ",</span> skipped: has no vector",
        "unread": "in italics</span> not read: the text is too long",
    }
    lines = [f'similarity to the query {low}<i class="ramp"></i>{high}']
    lines += ['<span class="t won" style="--v:0">underlined</span> counts in the score']
    for kind, said in marks.items():
        if f'class="{kind}' in cards:
            lines.append(f'<span class="{kind}" style="--v:0">{said}')
    return '<p class="legend">' + "".join(f"<span>{line}</span>" for line in lines) + "</p>"


def _card(found: Matches, i: int, scale: Scale) -> str:
    document = found.documents[i]
    shades = (scale.shades(document.similarities) * 255).round().int().flatten().tolist()
    judged = "" if document.grade is None or document.grade < 1 else "relevant"
    badge = f' <span class="badge up">{judged}</span>' if judged else ""
    data = (
        f'data-name="{name(i)}" data-width="{len(document.kept)}" '
        f'data-best="{" ".join(map(str, document.best))}" '
        f'data-shades="{"".join(f"{shade:02x}" for shade in shades)}"'
    )
    return (
        f"<article {data}>\n<h3><span>{name(i)}</span> <bdi>{escape(document.id)}</bdi>{badge} "
        f'<span class="score">{number(document.score)}</span></h3>\n'
        f'<p class="facts">{_facts(found, document)}</p>\n'
        f'<p class="text" dir="auto">{_text(found, document, scale)}</p>\n</article>'
    )


def _facts(found: Matches, document: Matched) -> str:
    skipped = len(document.tokens) - len(document.kept)
    parts = [f"rank {document.rank:,} of {found.searched:,}", f"{len(document.kept)} token vectors"]
    parts += [f"{skipped} tokens skipped"] if skipped else []
    parts += [f"judged {document.grade}"] if document.grade is not None else []
    return " · ".join(parts)


def _text(found: Matches, document: Matched, scale: Scale) -> str:
    """The document with its tokens marked, and what was not read after them."""
    shades = scale.shades(document.similarities.amax(0)).tolist()
    won: dict[int, list[str]] = {}
    for place, i in enumerate(document.best):
        said = f"{letters(found.tokens[place], found.query)} {number(document.values[place])}"
        won.setdefault(i, []).append(said)
    out: list[str] = []
    end = count = 0
    for group in _spans(document.tokens):
        kept = [count + i for i in range(sum(token.kept for token in group))]
        count += len(kept)
        start, stop = group[0].start, max(token.end for token in group)
        if group[0].kind == "text":
            out.append(_plain(document, end, start))
            end = stop
            inner = _plain(document, start, stop)
        else:
            inner = escape(group[0].piece.strip())
        out.append(_mark(inner, group[0], kept, shades, won))
        if group[0].kind != "text":
            out.append(" ")
    rest = document.text[end:]
    if rest.strip():
        out.append(f'<span class="unread">{_plain(document, end, len(document.text))}</span>')
    return "".join(out)


def _spans(tokens: list[Token]) -> list[list[Token]]:
    """Tokens that share a letter together: a rare one may be several tokens."""
    groups: list[list[Token]] = []
    for token in tokens:
        last = groups[-1][-1] if groups else None
        if last and last.kind == token.kind == "text" and token.start < last.end:
            groups[-1].append(token)
        else:
            groups.append([token])
    return groups


def _mark(
    inner: str, token: Token, kept: list[int], shades: list[float], won: dict[int, list[str]]
) -> str:
    if not kept:
        return f'<span class="skip">{inner}</span>'
    said = [one for i in kept for one in won.get(i, [])]
    classes = "t" + " made" * (token.kind != "text") + " won" * bool(said)
    hint = f' title="{escape("best for " + ", ".join(said))}"' if said else ""
    value = max(shades[i] for i in kept)
    places = " ".join(map(str, kept))
    style = f'style="--v:{value:.2f}"'
    return f'<span class="{classes}" data-i="{places}" {style}{hint}>{inner}</span>'


def _plain(document: Matched, start: int, end: int) -> str:
    """A part of the text, what is of the title in bold."""
    bold = document.text[start : min(end, max(start, len(document.title)))]
    rest = document.text[start + len(bold) : end]
    shown = f'<span class="title">{escape(bold)}</span>' if bold.strip() else escape(bold)
    return shown + escape(rest)
