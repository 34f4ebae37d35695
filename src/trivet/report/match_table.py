"""Why one document is above another: each query token's match in each, and what they differ by."""

from __future__ import annotations

from trivet.models.reading import Token
from trivet.report.match_words import GROUPS, around, escape, letters, number, words
from trivet.report.matches import Matched, Matches

_TOLD = 3  # words named on either side
_LEAST = 0.005  # and by how much they must differ


def name(place: int) -> str:
    """What a document is called: A, B, C."""
    return chr(ord("A") + place) if place < 26 else str(place + 1)


def lead(found: Matches) -> str:
    """A sentence for each document after the first: how far it is behind, and by which words."""
    first = found.documents[0]
    lines = [
        _behind(found, first, other, name(i)) for i, other in enumerate(found.documents) if i
    ] or [f"<b>A</b> scores {number(first.score)}."]
    return "\n".join(f'<p class="lead">{line}</p>' for line in lines)


def _behind(found: Matches, first: Matched, other: Matched, called: str) -> str:
    gaps = [
        (sum(first.values[i] - other.values[i] for i in places), label)
        for label, places in words(found.tokens, found.query)
    ]
    more = sorted((gap for gap in gaps if gap[0] > _LEAST), reverse=True)[:_TOLD]
    less = sorted(gap for gap in gaps if gap[0] < -_LEAST)[:_TOLD]
    line = f"<b>A</b> is ahead of <b>{called}</b> by {number(first.score - other.score)}"
    if more:
        line += ", most by " + _listed(more, "up")
    if less:
        line += f"; <b>{called}</b> finds more for " + _listed(less, "down")
    return line + "."


def _listed(gaps: list[tuple[float, str]], way: str) -> str:
    shown = [
        f'“<bdi>{escape(label)}</bdi>” <span class="{way}">{number(abs(gap), sign=True)}</span>'
        for gap, label in gaps
    ]
    return ", ".join(shown[:-1]) + (" and " if shown[1:] else "") + shown[-1]


def table(found: Matches) -> str:
    """All terms of the scores, grouped by what the tokens are, with sums."""
    groups: dict[str, list[int]] = {}
    for i, token in enumerate(found.tokens):
        groups.setdefault(GROUPS[token.kind], []).append(i)
    heads = "".join(
        f'<th scope="col" class="first">{name(i)} finds</th>'
        '<th scope="col" class="num">similarity</th>'
        + ('<th scope="col" class="num">against A</th>' if i else "")
        for i in range(len(found.documents))
    )
    bodies = "\n".join(_body(found, title, groups[title]) for title in _ordered(groups))
    sums = _sums(found, list(range(len(found.tokens))))
    return (
        f'<table>\n<thead><tr><th scope="col">query token</th>{heads}</tr></thead>\n{bodies}\n'
        f'<tfoot><tr><th scope="row">MaxSim</th>{sums}</tr></tfoot>\n</table>'
    )


def _ordered(groups: dict[str, list[int]]) -> list[str]:
    return [title for title in dict.fromkeys(GROUPS.values()) if title in groups]


def _body(found: Matches, title: str, places: list[int]) -> str:
    top = f'<tr class="group"><th scope="rowgroup">{title}</th>{_sums(found, places)}</tr>'
    return "\n".join(["<tbody>", top, *(_row(found, place) for place in places), "</tbody>"])


def _sums(found: Matches, places: list[int]) -> str:
    cells: list[str] = []
    first = sum(found.documents[0].values[i] for i in places)
    for i, document in enumerate(found.documents):
        total = sum(document.values[place] for place in places)
        cells.append(f'<td class="first"></td><td class="num">{number(total)}</td>')
        if i:
            cells.append(f'<td class="num">{number(total - first, sign=True)}</td>')
    return "".join(cells)


def _row(found: Matches, place: int) -> str:
    token = found.tokens[place]
    cells = [_cells(found, i, place) for i in range(len(found.documents))]
    shown = "made" if token.kind != "text" else ""
    called = f'<bdi class="{shown}">{escape(letters(token, found.query))}</bdi>'
    said = escape(_said(found, token, place))
    head = f'<th scope="row">{called}</th>'
    return f'<tr data-q="{place}" data-said="{said}">{head}{"".join(cells)}</tr>'


def _cells(found: Matches, i: int, place: int) -> str:
    document = found.documents[i]
    value = document.values[place]
    best = document.kept[document.best[place]]
    bar = f'<span class="bar" style="--v:{min(max(value, 0), 1):.3f}"></span>'
    out = f'<td class="found first">{around(best, document.text)}</td>'
    out += f'<td class="num">{number(value)}{bar}</td>'
    if i:
        gap = value - found.documents[0].values[place]
        most = _widest(found)
        way = "down" if gap < 0 else "up"
        bar = f'<i class="{way}" style="--v:{abs(gap) / most if most else 0:.3f}"></i>'
        shown = number(gap, sign=True)
        out += f'<td class="num"><span class="{way}">{shown}</span>'
        out += f'<span class="gap">{bar}</span></td>'
    return out


def _widest(found: Matches) -> float:
    """The largest gap of any token, which fills its bar."""
    first = found.documents[0].values
    return max(
        abs(value - other)
        for document in found.documents
        for value, other in zip(document.values, first, strict=True)
    )


def _said(found: Matches, token: Token, place: int) -> str:
    """One line for a query token, to be read aloud."""
    parts: list[str] = []
    for i, document in enumerate(found.documents):
        best = document.kept[document.best[place]]
        word = letters(best, document.text)
        parts.append(f"{name(i)} finds “{word}” {number(document.values[place])}")
    return f"“{letters(token, found.query)}”: {'; '.join(parts)}"
