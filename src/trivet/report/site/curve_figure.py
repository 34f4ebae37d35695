"""Learning curves as a figure: the mean of the seeds, and how far they are apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trivet.report.site.canvas import LINE, SERIES, Drawing, finish, new, plain, styled
from trivet.report.site.curves import Curve, Curves


def of_curves(curves: Curves, points: int) -> Drawing:
    """The best configs in colours, the others behind them in one; `points`: of all lines."""
    up = curves.metric.startswith("dev/")
    ordered = sorted(curves.curves, key=lambda curve: -curve.last if up else curve.last)
    coloured = ordered[: len(SERIES)]
    each = max(12, points // (len(ordered) + 2 * len(coloured)))  # a band is two lines
    name = curves.page
    with styled(name):
        figure, grid = new(7.2, 3.4)
        axes = grid[0, 0]
        for curve in ordered[len(SERIES) :]:
            steps, low, mean, high = together(curve, each)
            axes.plot(steps, mean, color=LINE, linewidth=0.8, zorder=1)
        for curve, colour in zip(coloured, SERIES, strict=False):
            steps, low, mean, high = together(curve, each)
            if len(curve.seeds) > 1:
                axes.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
            marker = "o" if len(steps) < 12 else None
            label = curve.label + (f" ({curve.state})" if curve.state != "finished" else "")
            axes.plot(
                steps, mean, color=colour, linewidth=1.4, marker=marker, markersize=3, label=label
            )
        axes.set_xlabel("step")
        axes.set_ylabel(curves.metric.removeprefix("dev/"))
        axes.tick_params(axis="y", labelcolor="#5b6067")
        plain(axes, grid="y")
        if len(ordered) > 1:
            figure.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=7.5)
        caption = "Means of seeds; bands from the lowest to the highest seed."
        if len(ordered) > len(coloured):
            caption += f" In colours the best {len(coloured)} of {len(ordered)}."
        title = f"{curves.recipe}, stage {curves.stage}: {curves.metric} by step"
        return finish(figure, name, title, caption)


def together(curve: Curve, most: int) -> tuple[Sequence[int], ...]:  # pyright: ignore
    """Steps that every seed has, thinned out, with the lowest, mean and highest value at each."""
    of_seeds = [dict(zip(steps, values, strict=True)) for steps, values in curve.seeds]
    common = sorted(set.intersection(*(set(one) for one in of_seeds)))
    if not common:  # seeds that are not as far yet
        common = sorted(of_seeds[0])
        of_seeds = of_seeds[:1]
    if len(common) > most:
        places = np.unique(np.linspace(0, len(common) - 1, most).round().astype(int))
        common = [common[place] for place in places]
    values = np.array([[one[step] for step in common] for one in of_seeds])
    return common, values.min(0).tolist(), values.mean(0).tolist(), values.max(0).tolist()
