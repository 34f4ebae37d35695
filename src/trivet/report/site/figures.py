"""The figures of a report: means and differences with their intervals, stages, and trade-offs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trivet.report.comparison import Comparison, Line
from trivet.report.site.boards import Board
from trivet.report.site.canvas import (
    AHEAD,
    BEHIND,
    INK,
    LINE,
    SOFT,
    Drawing,
    finish,
    new,
    plain,
    styled,
)
from trivet.report.site.ladder import Ladder
from trivet.report.site.studies import Study
from trivet.report.site.tradeoffs import COSTS, Point, frontier

_MOST = 40  # labels in one figure; a table has all
_PANELS = 6  # tasks beside their average
_ROW = 0.27  # inches


def of_board(board: Board) -> Drawing | None:
    """Every label's mean with its interval, the best on top; None where none has every task."""
    if not board.tables[-1].lines:
        return None
    lines = sorted(board.tables[-1].lines, key=lambda line: line.mean)[-_MOST:]
    name = f"board-{board.page}"
    what = "average over tasks" if len(board.tables) > 1 else board.tables[-1].title
    with styled(name):
        figure, grid = new(7.2, 0.75 + _ROW * len(lines))
        axes = grid[0, 0]
        base = next((line for line in lines if line.name == board.baseline), None)
        if base is not None:
            axes.axvline(base.mean, color=SOFT, linewidth=0.8, linestyle=(0, (2, 2)))
        for place, line in enumerate(lines):
            _interval(axes, place, line.mean, line.interval, _colour(line), line is base)
        _named(axes, [line.name for line in lines])
        axes.set_xlabel(f"{board.metric}, {what}, with 95% intervals")
        plain(axes)
        title = f"{board.bench}: {board.metric}, {what}, by label"
        caption = f"Blue: above {board.baseline}; orange: below it; grey: not told apart."
        return finish(figure, name, title, caption)


def of_study(study: Study) -> Drawing:
    """The difference of each level to the baseline, over all tasks and on each."""
    tables = [study.pooled, *study.tables[:-1]][: _PANELS + 1]
    lines = study.pooled.lines[1:][:_MOST][::-1]
    names = [line.name for line in lines]
    name = f"ablation-{study.name}"
    with styled(name):
        ratios = [1.7, *([1.0] * (len(tables) - 1))]
        figure, grid = new(
            7.2,
            0.85 + _ROW * len(lines),
            ncols=len(tables),
            sharex=True,
            sharey=True,
            width_ratios=ratios,
        )
        for axes, table in zip(grid[0], tables, strict=True):
            _differences(axes, table, names)
            plain(axes)
            axes.set_title("average" if table is tables[0] and len(tables) > 1 else table.title)
            axes.locator_params(axis="x", nbins=3)
            axes.xaxis.set_major_formatter(_tick)
            axes.tick_params(axis="x", labelsize=7.5)
        _named(grid[0, 0], names)
        base = study.pooled.lines[0]
        figure.supxlabel(
            f"difference in {study.pooled.metric} to {base.name}, with 95% intervals",
            fontsize=8.5,
            color=SOFT,
        )
        title = f"{study.title}: difference of each level to {base.name}"
        caption = (
            "Blue and orange: told apart from the baseline after Holm's correction; grey: not."
        )
        return finish(figure, name, title, caption)


def _differences(axes: Any, table: Comparison, names: Sequence[str]) -> None:
    axes.axvline(0, color=INK, linewidth=0.8)
    by_name = {line.name: line.against for line in table.lines}
    for place, name in enumerate(names):
        against = by_name[name]
        if against is not None:
            colour = SOFT
            if against.significant:
                colour = AHEAD if against.difference > 0 else BEHIND
            _interval(axes, place, against.difference, against.interval, colour)


def of_ladder(ladder: Ladder) -> Drawing:
    """Each stage's mean with its interval, and each task's in thin lines."""
    name = f"ladder-{ladder.name}"
    with styled(name):
        figure, grid = new(7.2, 3.6)
        axes = grid[0, 0]
        places = list(range(len(ladder.rungs)))
        tasks = ladder.tasks if len(ladder.tasks) > 1 else {}
        ends = [means[len(places) - 1] for means in tasks.values()]
        heights = _apart(ends, 0.035 * _span(ladder))
        for (task, means), height in zip(tasks.items(), heights, strict=True):
            axes.plot(places, means[: len(places)], color=LINE, linewidth=1.2, zorder=1)
            axes.annotate(task, (places[-1], height), (8, 0), textcoords="offset points",
                          va="center", fontsize=7.5, color=SOFT)  # fmt: skip
        for line in ladder.beside:
            axes.axhline(line.mean, color=SOFT, linewidth=0.8, linestyle=(0, (2, 2)))
            axes.annotate(line.name, (0, line.mean), (0, 3), textcoords="offset points",
                          fontsize=7.5, color=SOFT)  # fmt: skip
        axes.plot(places, [line.mean for line in ladder.rungs], color=INK, linewidth=1.6)
        for place, line in enumerate(ladder.rungs):
            axes.plot([place, place], line.interval, color=INK, linewidth=1.2)
            axes.plot([place], [line.mean], "o", color=_colour(line), markersize=6)
        axes.set_xticks(places, [line.name for line in ladder.rungs])
        axes.tick_params(axis="x", labelcolor=INK)
        axes.tick_params(axis="y", labelcolor=SOFT)
        axes.margins(x=0.12)
        axes.set_ylabel(ladder.metric)
        plain(axes, grid="y")
        caption = "Dark: the average with its 95% interval; thin: each task; blue and orange: told "
        caption += "apart from the stage before."
        return finish(figure, name, f"{ladder.title} {ladder.metric} after each stage", caption)


def _span(ladder: Ladder) -> float:
    """How far the figure reaches from its lowest to its highest mean."""
    known = [mean for means in ladder.tasks.values() for mean in means]
    known += [line.mean for line in (*ladder.rungs, *ladder.beside)]
    return max(known) - min(known)


def _apart(values: Sequence[float], least: float) -> list[float]:
    """Heights for labels: in the values' order, no two nearer than that."""
    out = list(values)
    order = sorted(range(len(values)), key=lambda i: values[i])
    for below, above in zip(order, order[1:], strict=False):
        out[above] = max(out[above], out[below] + least)
    return out


def of_tradeoffs(board: Board, found: Sequence[Point]) -> Drawing | None:
    """Quality against each cost that at least two labels tell; None where none does."""
    panels = {
        what: cost for what, cost in COSTS.items() if sum(cost(p) is not None for p in found) > 1
    }
    if not panels or len(found) < 2:
        return None
    name = f"tradeoffs-{board.page}"
    from matplotlib.ticker import LogLocator, NullFormatter

    with styled(name):
        figure, grid = new(7.2, 3.3, ncols=len(panels), sharey=True)
        for axes, (what, cost) in zip(grid[0], panels.items(), strict=True):
            priced = [(price, p) for p in found if (price := cost(p)) is not None]
            best = frontier(found, cost)
            axes.scatter([x for x, _ in priced], [p.quality for _, p in priced], s=14, color=SOFT,
                         alpha=0.55, linewidths=0)  # fmt: skip
            x = [cost(p) for p in best]
            axes.step(x, [p.quality for p in best], where="post", color=AHEAD, linewidth=1)
            axes.scatter(x, [p.quality for p in best], s=22, color=AHEAD, zorder=3)
            for p in best:
                axes.annotate(_cut(p.label, 26), (cost(p), p.quality), (4, -9), fontsize=7,
                              textcoords="offset points", color=INK)  # fmt: skip
            axes.set_xscale("log")
            few = max(x for x, _ in priced) < 20 * min(x for x, _ in priced)
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
            axes.xaxis.set_major_formatter(_tick)
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.set_xlabel(what)
            axes.tick_params(axis="y", labelcolor=SOFT)
            axes.margins(x=0.18, y=0.1)
            plain(axes, grid="y")
        grid[0, 0].set_ylabel(board.metric)
        title = f"{board.bench}: {board.metric} against {', '.join(panels)}"
        caption = "Blue: nothing is better at the same cost or less."
        return finish(figure, name, title, caption)


def _interval(
    axes: Any,
    place: int,
    value: float,
    interval: tuple[float, float],
    colour: str,
    hollow: bool = False,
) -> None:
    axes.plot(interval, [place, place], color=colour, linewidth=1.4, solid_capstyle="round")
    face = "none" if hollow else colour
    axes.plot([value], [place], "o", color=colour, markerfacecolor=face, markersize=5)


def _named(axes: Any, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [_cut(name, 44) for name in names])
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.spines["left"].set_visible(False)


def _tick(value: float, place: int | None = None) -> str:
    """A tick's number, no longer than it must be."""
    return f"{value:,.6g}".replace("-", "−")


def _colour(line: Line) -> str:
    if line.against is None:
        return INK
    if not line.against.significant:
        return SOFT
    return AHEAD if line.against.difference > 0 else BEHIND


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
