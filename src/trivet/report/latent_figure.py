"""Document frequency by rank as a drawing inside a page, in the page's own colours."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from trivet.report.latent_curves import Curve

_POINTS = 240  # of a curve, evenly over the logarithm of ranks
# colours that stand for the page's, which are others in the dark
_INKS = {"#010101": "var(--ink)", "#020202": "var(--soft)", "#030303": "var(--line)"}
_CURVES = {"#040404": "var(--one)", "#050505": "var(--two)", "#060606": "var(--three)"}
_MARKS = ["o", "s", "^"]  # told apart without colours, too


def figure(curves: Sequence[Curve], documents: int) -> str:
    """An SVG element without any address, the same bytes every time."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    ink, soft, line = _INKS
    with matplotlib.rc_context({
        "svg.fonttype": "none", "svg.hashsalt": "trivet", "font.family": "sans-serif",
        "font.size": 11, "text.color": ink, "axes.edgecolor": soft, "axes.labelcolor": ink,
        "xtick.color": soft, "ytick.color": soft, "axes.facecolor": "none",
    }):  # fmt: skip
        drawing, axes = pyplot.subplots(figsize=(7.6, 4.5), layout="constrained")
        for curve, colour, mark in zip(curves, _CURVES, _MARKS, strict=False):
            ranks = _ranks(len(curve.frequencies))
            axes.loglog(ranks, curve.frequencies[ranks - 1], color=colour, lw=2, label=curve.name,
                        marker=mark, ms=5, markevery=24)  # fmt: skip
            if curve.fit is not None:
                ends = np.array([curve.fit.first, curve.fit.last])
                axes.loglog(ends, [curve.fit.at(int(rank)) for rank in ends], color=ink, lw=1.1,
                            ls=(0, (5, 3)))  # fmt: skip
        axes.axhline(documents, color=soft, lw=0.8, ls=(0, (1, 3)))
        axes.annotate(f"all {documents:,} documents", (1, documents), xytext=(2, 3),
                      textcoords="offset points", color=soft, fontsize=9)  # fmt: skip
        axes.set(xlabel="rank", ylabel="documents that hold the term")
        axes.grid(color=line, lw=0.7)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="lower left")
        out = io.StringIO()
        drawing.savefig(
            out, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
        pyplot.close(drawing)
    return _inline(out.getvalue())


def _ranks(count: int) -> Any:
    return np.unique(np.rint(np.geomspace(1, count, _POINTS)).astype(np.int64))


def _inline(svg: str) -> str:
    """The element alone, in the page's colours, its width left to the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.S)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r'font: ([\d.]+)px [^;"]*', r"font: \1px var(--sans)", svg)
    for colour, name in (_INKS | _CURVES).items():
        svg = svg.replace(colour, name)
    return svg.replace("<svg", '<svg aria-hidden="true"', 1).strip()
