"""Figures by matplotlib: a drawing as SVG for the page, and as SVG and PDF for a paper.

In the page a figure takes the page's colours, dark ones too: each colour that is drawn has a name
in the style sheet; its text stays text, in the page's font.
"""

from __future__ import annotations

import io
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, LINE = "#1c1e21", "#5b6067", "#d9d4c9"
AHEAD, BEHIND = "#00639c", "#b04a00"
# Okabe and Ito's colours, the lighter ones darkened until they can be read on white
SERIES = ["#0072b2", "#c25700", "#00795c", "#a6418a", "#8a6d00", "#3d5bc9", "#6b4a2b", "#4d7a1e"]
_NAMES = {INK: "ink", SOFT: "soft", LINE: "line", AHEAD: "ahead", BEHIND: "behind"} | {
    colour: f"c{i}" for i, colour in enumerate(SERIES)
}


@dataclass(frozen=True)
class Drawing:
    """A figure in its forms, and what it shows in words."""

    name: str
    title: str
    caption: str
    inline: str  # for the page
    svg: bytes
    pdf: bytes

    def write(self, folder: Path) -> None:
        """The files for a paper."""
        (folder / f"{self.name}.svg").write_bytes(self.svg)
        (folder / f"{self.name}.pdf").write_bytes(self.pdf)


@contextmanager
def styled(name: str) -> Generator[None]:
    """matplotlib's settings for one figure; the same figure has the same bytes."""
    import matplotlib as mpl

    wanted: dict[str, Any] = {
        "font.size": 8.5,
        "axes.edgecolor": LINE,
        "axes.labelcolor": SOFT,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlecolor": INK,
        "axes.titlesize": 8.5,
        "axes.grid": False,
        "grid.color": LINE,
        "grid.linewidth": 0.6,
        "text.color": INK,
        "xtick.color": LINE,
        "ytick.color": LINE,
        "xtick.labelcolor": SOFT,
        "ytick.labelcolor": INK,
        "xtick.major.size": 3,
        "ytick.major.size": 0,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "text.parse_math": False,
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "pdf.fonttype": 42,
    }
    with mpl.rc_context(wanted):  # pyright: ignore[reportArgumentType]
        yield


def new(width: float, height: float, **grid: Any) -> tuple[Figure, Any]:
    """A figure of so many inches and its axes, (rows, columns)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(squeeze=False, **grid)


def plain(axes: Axes, *, grid: str = "x") -> None:
    """Thin lines behind the data, along one axis."""
    axes.set_axisbelow(True)
    if grid == "x":
        axes.grid(True, axis="x")
    else:
        axes.grid(True, axis="y")


def finish(figure: Figure, name: str, title: str, caption: str) -> Drawing:
    """Write the figure in all its forms, laid out once."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:  # the solver's last digits differ from run to run
        box = axes.get_position(original=True).bounds
        axes.set_position((round(box[0], 4), round(box[1], 4), round(box[2], 4), round(box[3], 4)))
    forms: dict[str, bytes] = {}
    for kind, facts in (("svg", {"Date": None, "Creator": None}), ("pdf", {"CreationDate": None})):
        stream = io.BytesIO()
        figure.savefig(stream, format=kind, metadata=facts)
        forms[kind] = stream.getvalue()
    inline = _inline(forms["svg"].decode(), name, title)
    return Drawing(name, title, caption, inline, forms["svg"], forms["pdf"])


def _rounded(attribute: re.Match[str]) -> str:
    """A tenth of a point is enough; scales keep all they have."""
    if "scale(" in attribute[0]:
        return attribute[0]
    return re.sub(r"(\d+\.\d)\d+", r"\1", attribute[0])


def _inline(svg: str, name: str, title: str) -> str:
    """The drawing as a part of a page: its ids are its own, its colours and fonts the page's."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", svg))

    def own(match: re.Match[str]) -> str:
        return f' id="{name}-{match[1]}"' if match[1] in used else ""

    svg = re.sub(r'\sid="([^"]+)"', own, svg)
    svg = re.sub(r"(url\(#|href=\"#)", rf"\g<1>{name}-", svg)
    for colour, called in _NAMES.items():
        svg = svg.replace(colour, f"var(--{called})")
    # a font at its size, whatever its name; black is what has no colour of its own
    svg = re.sub(r"font: (?:\w+ )?([\d.]+)px [^;\"]+", r"font-size: \1px", svg)
    svg = re.sub(r'\s(?:d|x|y|transform)="[^"]+"', _rounded, svg)
    opening = re.match(r"<svg[^>]*>", svg)
    assert opening is not None
    box = re.search(r'viewBox="([^"]+)"', opening[0])
    width = re.search(r'width="([\d.]+)pt"', opening[0])
    assert box is not None and width is not None
    head = (
        f'<svg class="drawn" viewBox="{box[1]}" role="img" aria-labelledby="{name}-title" '
        f'style="--width:{float(width[1]) * 4 / 3:.0f}px" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f'<title id="{name}-title">{escape(title)}</title>'
    )
    return head + re.sub(r"\n\s*", "\n", svg[opening.end() :])
