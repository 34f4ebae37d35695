"""One table, three ways to write it: Markdown to read, LaTeX to print, CSV to compute with."""

from __future__ import annotations

import csv as csv_module
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from trivet.bench.table import table as markdown_table


@dataclass(frozen=True)
class Table:
    """Cells as text, the first of each row a name. Published figures have a table of their own."""

    title: str
    headers: Sequence[str]  # of the columns after the name
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    best: frozenset[tuple[int, int]] = frozenset()  # row, column: bold in LaTeX


def best_cells(
    columns: Mapping[int, Sequence[float | None]], digits: int = 4
) -> frozenset[tuple[int, int]]:
    """Where each column is highest, ties as printed included; None takes no part."""
    found: set[tuple[int, int]] = set()
    for column, values in columns.items():
        rounded = [None if value is None else round(value, digits) for value in values]
        highest = max((value for value in rounded if value is not None), default=None)
        if highest is not None:
            found |= {(row, column) for row, value in enumerate(rounded) if value == highest}
    return frozenset(found)


def markdown(tables: Sequence[Table]) -> str:
    """Each table with its notes below; the title heads the names."""
    blocks: list[str] = []
    for one in tables:
        cells = [[cell.replace("|", "\\|") for cell in row] for row in one.rows]
        title = one.title.replace("|", "\\|")
        blocks.append(markdown_table([title, *one.headers], cells))
        if one.notes:  # apart from the table, of which Markdown would make them rows
            notes = [note if note.startswith("* ") else f"- {note}" for note in one.notes]
            blocks.append("\n".join(notes))
    return "\n\n".join(blocks)


def latex(tables: Sequence[Table]) -> str:
    """Tables of the package booktabs, the best cells in bold."""
    return "\n\n".join(_latex(one) for one in tables)


def _latex(one: Table) -> str:
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_escape(one.title)}}}",
        rf"\begin{{tabular}}{{l{'r' * len(one.headers)}}}",
        r"\toprule",
        " & ".join(["", *map(_escape, one.headers)]).strip() + r" \\",
        r"\midrule",
    ]
    for i, row in enumerate(one.rows):
        cells = [_escape(cell) for cell in row]
        bold = [rf"\textbf{{{c}}}" if (i, j) in one.best else c for j, c in enumerate(cells)]
        lines.append(" & ".join(bold) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\smallskip\footnotesize {_escape(note)}" for note in one.notes]
    return "\n".join([*lines, r"\end{table}"])


_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "†": r"\textdagger{}",
    "[": "{[}",  # after the end of a row, a bare one would open a length
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def _escape(text: str) -> str:
    """Plain text for LaTeX; the minus of a number is a minus."""
    text = "".join(_SPECIAL.get(sign, sign) for sign in text)
    return re.sub(r"(^|{\[}|, )-(?=\d)", r"\1$-$", text)


def csv(tables: Sequence[Table]) -> str:
    """All tables as one: a column for the table's title, one for its notes, all columns between.

    A note on what is marked by a star stands only beside a row that is.
    """
    headers = list(dict.fromkeys(header for one in tables for header in one.headers))
    out = io.StringIO()
    writer = csv_module.writer(out, lineterminator="\n")
    writer.writerow(["table", "row", *headers, "notes"])
    for one in tables:
        for name, *cells in one.rows:
            by_header = dict(zip(one.headers, cells, strict=True))
            values = [by_header.get(header, "") for header in headers]
            starred = any(cell.endswith(" *") for cell in (name, *cells))
            notes = [note for note in one.notes if starred or not note.startswith("* ")]
            writer.writerow([one.title, name, *values, "; ".join(notes)])
    return out.getvalue().rstrip("\n")


RENDERERS: dict[str, Callable[[Sequence[Table]], str]] = {
    "markdown": markdown,
    "latex": latex,
    "csv": csv,
}
