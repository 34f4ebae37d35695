"""Figures by matplotlib: a drawing as SVG, for the page and for a paper, and as PDF.

Each colour that is drawn has a partner on dark ground, which a browser takes where its user prefers
dark pages; paper knows nothing of that. Text stays text.
"""

from __future__ import annotations

import io
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trivet.report.site.slim import slim

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, LINE = "#1c1e21", "#5b6067", "#d9d4c9"
AHEAD, BEHIND = "#00639c", "#b04a00"
# Okabe and Ito's colours, the lighter ones darkened until they can be read on white
SERIES = ["#0072b2", "#c25700", "#00795c", "#a6418a", "#8a6d00", "#3d5bc9", "#6b4a2b", "#4d7a1e"]
DARK = dict(
    zip(
        [INK, SOFT, LINE, AHEAD, BEHIND, *SERIES],
        ["#e8e6e0", "#a3a8ae", "#3d444b", "#7cc4f2", "#f2a65e"]
        + ["#6bb8ea", "#f2a65e", "#4fc3a1", "#dd8fc8", "#d9bc4f", "#9db0ff", "#c9a583", "#a3cf6f"],
        strict=True,
    )
)


@dataclass(frozen=True)
class Drawing:
    """A figure in its forms, and what it shows in words."""

    name: str
    title: str
    caption: str
    size: tuple[int, int]  # in pixels
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
        "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: a figure is alike everywhere
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
    width, height = figure.get_size_inches()
    size = (round(width * 96), round(height * 96))
    return Drawing(name, title, caption, size, slim(forms["svg"], DARK), forms["pdf"])
