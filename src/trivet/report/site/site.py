"""The site itself: findings as HTML pages, and their figures as files beside them.

A page needs the style sheet and the few lines of script that lie beside it, and reads well without
either. All texts are escaped by the template engine; what is not is drawn by trivet itself.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from trivet import __version__
from trivet.core.errors import ConfigError
from trivet.core.files import whole_folder
from trivet.core.places import asset
from trivet.report.comparison import Against, Line
from trivet.report.references import references
from trivet.report.selection import Choice
from trivet.report.site import figures
from trivet.report.site.boards import Board
from trivet.report.site.canvas import Drawing
from trivet.report.site.curve_figure import of_curves
from trivet.report.site.curves import curves
from trivet.report.site.findings import Findings
from trivet.report.site.held import Held
from trivet.report.site.made import anchors_of, config_of, differences, making
from trivet.report.site.pages import Pages
from trivet.report.site.studies import Study
from trivet.report.site.tradeoffs import Point, points

_POINTS = 8000  # of all learning curves together: more are hardly seen
_OF_SEEDS = "seeds; intervals resample"
_GENERATOR = '<meta name="generator" content="trivet'


@dataclass(frozen=True)
class Entry:
    """One line of a leaderboard."""

    label: str
    anchor: str
    line: Line | None  # over all tasks; None where one is missing
    tasks: list[Line | None]
    point: Point | None
    seeds: int
    best: bool


def write(out: Path, held: Held, pages: Pages, found: Findings, *, live: str = "") -> None:
    """Write the whole site, or leave what was there; `live`: the version that is served."""
    _check(out)
    with whole_folder(out) as aside:
        (aside / "figures").mkdir()
        for name in ("style.css", "script.js"):
            shutil.copyfile(asset("report") / name, aside / name)
        for name, text in _pages(aside, held, pages, found, live):
            (aside / name).write_text(text, encoding="utf-8", errors="replace")


def _check(out: Path) -> None:
    """Never put a site in the place of something else."""
    index = out / "index.html"
    there = out.exists() and (not out.is_dir() or any(out.iterdir()))
    ours = index.is_file() and _GENERATOR in index.read_text(encoding="utf-8", errors="replace")
    if there and not ours:
        fix = "Name a new folder, or one that trivet report wrote"
        raise ConfigError("holds something else", where=str(out), fix=fix)


def _pages(
    folder: Path, held: Held, pages: Pages, found: Findings, live: str
) -> Iterator[tuple[str, str]]:
    """Each page's name and its text."""
    slugs = {board.bench: board.page for board in found.boards}
    anchors = {board.bench: anchors_of(board.choices) for board in found.boards}
    lines = curves(held.runs)
    drawings = _drawings(folder, found)
    shown: list[dict[str, Any]] = []
    for one in lines:
        drawing = of_curves(one, _POINTS // len(lines))
        drawing.write(folder / "figures")
        drawings[drawing.name] = drawing
        shown.append({**vars(one), "drawing": drawing.name})
    environment = _environment()

    def page(template: str, **own: Any) -> str:
        shared = {
            "pages": pages,
            "held": held,
            "boards": found.boards,
            "studies": found.studies,
            "ladders": found.ladders,
            "curves": shown,
            "drawings": drawings,
            "slugs": slugs,
            "live": live,
            "version": __version__,
            "until": max((row["time"][:10] for row in held.rows), default=""),
            "here": template.partition(".")[0],
        }
        return environment.get_template(template).render({**shared, **own})

    def links(bench: str, choices: Sequence[Choice]) -> dict[str, str]:
        of_label = anchors[bench]
        return {
            choice.name: f"made-{slugs[bench]}.html#{of_label[choice.rows[0]['label']]}"
            for choice in choices
            if choice.rows[0]["label"] in of_label
        }

    tops = {board.bench: _top(board) for board in found.boards}
    yield "index.html", page("index.html", facts=_facts(held, found), tops=tops)
    for board in found.boards:
        own: dict[str, Any] = {
            "board": board,
            "entries": _entries(board, anchors[board.bench]),
            "links": links(board.bench, board.choices),
            "published": references({table.title for table in board.tasks}),
            "notes": [note for table in board.tables for note in table.notes],
            "machines": _machines(board),
        }
        yield f"board-{slugs[board.bench]}.html", page("board.html", **own)
        bases = _bases(board, found)
        made = making(board, anchors[board.bench], bases, held.manifests)
        yield (
            f"made-{slugs[board.bench]}.html",
            page(
                "made.html",
                board=board,
                making=made,
                anchors=anchors[board.bench],
                bases=set(bases.values()),
            ),
        )
    for study in found.studies:
        changed = _changed(study, held)
        known = any(str(r["retriever"]["model_key"]) in held.manifests
                    for choice in study.choices for r in choice.rows)  # fmt: skip
        yield (
            f"ablation-{study.name}.html",
            page(
                "study.html",
                study=study,
                links=links(study.bench, study.choices),
                changed=changed,
                known=known,
            ),
        )
    for ladder in found.ladders:
        yield (
            f"ladder-{ladder.name}.html",
            page("ladder.html", ladder=ladder, links=links(ladder.bench, ladder.choices)),
        )
    if lines:
        states = Counter(run.state for run in held.runs)
        yield "curves.html", page("curves.html", states=states)


def _drawings(folder: Path, found: Findings) -> dict[str, Drawing | None]:
    """All figures but curves, written; under the name that a page knows them by."""
    out: dict[str, Drawing | None] = {}
    for board in found.boards:
        out[f"board-{board.page}"] = figures.of_board(board)
        out[f"tradeoffs-{board.page}"] = figures.of_tradeoffs(board, points(board))
    for study in found.studies:
        if not study.refused:
            out[f"ablation-{study.name}"] = figures.of_study(study)
    for ladder in found.ladders:
        out[f"ladder-{ladder.name}"] = figures.of_ladder(ladder)
    for drawing in out.values():
        if drawing is not None:
            drawing.write(folder / "figures")
    return out


def _entries(board: Board, anchors: Mapping[str, str]) -> list[Entry]:
    """The lines of a leaderboard; in-domain ones are the best only among themselves."""
    overall = board.overall
    by_task = [{line.name: line for line in table.lines} for table in board.tasks]
    priced = {point.label: point for point in points(board)}
    top = _top(board)
    return [
        Entry(
            label=choice.name,
            anchor=anchors[choice.name],
            line=overall.get(choice.name),
            tasks=[lines.get(choice.name) for lines in by_task],
            point=priced.get(choice.name),
            seeds=len({row["seed"] for row in choice.rows}),
            best=top is not None and choice.name == top.name,
        )
        for choice in board.ordered()
    ]


def _top(board: Board) -> Line | None:
    lines = board.tables[-1].lines
    fair = [line for line in lines if not line.in_domain] or lines
    return max(fair, key=lambda line: line.mean, default=None)


def _brief(notes: Iterable[str]) -> list[str]:
    """Each note once; of seeds only one, for a column says how many there are."""
    told = list(dict.fromkeys(notes))
    rest = [note for note in told if _OF_SEEDS not in note]
    if len(rest) < len(told):
        rest.append("labels of several seeds are means; their intervals resample seeds and queries")
    return rest


def _machines(board: Board) -> list[str]:
    """What the rows of a board were measured on."""
    out: list[str] = []
    for choice in board.choices:
        for row in choice.rows:
            hardware = row["hardware"]
            gpus = ", ".join(map(str, hardware.get("gpus", [])))
            threads = f"{hardware['threads']} thread{'s' if hardware['threads'] != 1 else ''}"
            out.append(f"{hardware['cpu']}, {threads}" + (f", {gpus}" if gpus else ""))
    return list(dict.fromkeys(out))


def _bases(board: Board, found: Findings) -> dict[str, str]:
    """What each label of a board is set against: its ablation's baseline, the stage before it."""
    labels = {choice.name for choice in board.choices}
    out: dict[str, str] = {}
    for study in found.studies:
        if study.bench == board.bench:
            base, *others = [choice.rows[0]["label"] for choice in study.choices]
            out |= {other: base for other in others if other not in out}
    for ladder in found.ladders:
        if ladder.bench == board.bench:
            names = [choice.rows[0]["label"] for choice in ladder.choices[: len(ladder.rungs)]]
            pairs = zip(names[1:], names[:-1], strict=True)
            out |= {after: before for after, before in pairs if after not in out}
    known = {label: base for label, base in out.items() if {label, base} <= labels}
    return known | {label: board.baseline for label in labels - known.keys() - {board.baseline}}


def _changed(study: Study, held: Held) -> dict[str, list[str]]:
    """The settings that the levels do not share, the seed apart, and what each level sets."""
    configs = [config_of(choice.rows[0], held.manifests) for choice in study.choices]
    base, *others = configs
    names = [name for other in others for name, *_ in differences(base, other)]
    return {name: [one.get(name, "–") for one in configs] for name in dict.fromkeys(names)}


def _facts(held: Held, found: Findings) -> list[tuple[str, str]]:
    """The size of what is reported."""
    models = {row["retriever"]["model_key"] for row in held.rows} - {None}
    tasks = {(row["task"], row["data"]) for row in held.rows}
    counts = {
        "rows": len(held.rows),
        "trained models": len(models),
        "tasks": len(tasks),
        "benches": len(found.boards),
        "ablations": len(found.studies),
        "runs": len(held.runs),
    }
    return [(name, f"{count:,}") for name, count in counts.items() if count]


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(asset("report")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = environment.filters
    filters |= {"number": _number, "signed": _signed, "way": _way, "brief": _brief}
    return environment


def _number(value: float, digits: int = 4) -> str:
    return f"{value:.{digits}f}".replace("-", "−")


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "−")


def _way(against: Against | None) -> str:
    """The colour of a difference: of one that is told apart only."""
    if against is None or not against.significant:
        return ""
    return "up" if against.difference > 0 else "down"
