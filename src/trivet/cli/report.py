"""`trivet report`: rows of a ledger as a table, or all of it as a site."""

from __future__ import annotations

import argparse
from pathlib import Path

_LEDGER = "results/ledger.jsonl"
FORMATS = ["markdown", "latex", "csv"]


def run(argv: list[str]) -> int:
    """Read the ledger; print its rows side by side, or write the pages of a site."""
    flags = _parser().parse_args(argv)
    if flags.site:
        return _site(flags)

    from trivet.bench.ledger import Ledger
    from trivet.core.errors import ConfigError, TrivetError
    from trivet.report.labels import distinct
    from trivet.report.ledger_table import across_tasks, by_task, of_bench
    from trivet.report.render import RENDERERS

    ledger = ledger_of(flags.ledger)
    rows = distinct(Ledger(ledger).read())
    if not rows:
        raise TrivetError("no rows", where=str(ledger), fix="trivet eval adds some")
    if flags.wide and flags.share_of:
        raise ConfigError("not with --wide", where="--share-of")
    rows = of_bench(rows, flags.bench)
    metrics = flags.metrics.split(",")
    if flags.wide:
        tables = across_tasks(rows, metrics[0], published=flags.published)
    else:
        tables = by_task(rows, metrics, share_of=flags.share_of, published=flags.published)
    text = RENDERERS[flags.format](tables)
    if flags.output:
        try:
            Path(flags.output).write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise ConfigError(error.strerror or str(error), where=flags.output) from None
    else:
        print(text)
    return 0


def _site(flags: argparse.Namespace) -> int:
    from trivet.core.errors import ConfigError, TrivetError
    from trivet.report.site.findings import findings
    from trivet.report.site.held import hold
    from trivet.report.site.pages import read_pages
    from trivet.report.site.site import write

    for name in ("bench", "share_of", "output"):
        if getattr(flags, name) is not None:
            raise ConfigError("not with --site", where=f"--{name.replace('_', '-')}")
    pages = read_pages(Path(flags.pages) if flags.pages else None)
    held = hold(ledger_of(flags.ledger), outputs(flags.runs))
    if not held.rows and not held.runs:
        fix = "trivet eval adds some; --runs names the folder of runs"
        raise TrivetError("no rows and no runs", where=str(held.ledger), fix=fix)
    out = Path(flags.site).expanduser()
    write(out, held, pages, findings(held, pages, flags.rounds))
    print(out / "index.html")
    return 0


def ledger_of(given: str | None) -> Path:
    """The ledger that is named, which must be there; else the usual one, there or not."""
    from trivet.core.errors import ConfigError

    path = Path(given or _LEDGER).expanduser()
    if given and not path.is_file():
        raise ConfigError("no ledger", where=f"--ledger {given}", fix="trivet eval writes one")
    return path


def outputs(given: list[str] | None) -> list[Path]:
    """The folders of runs that are named, each of which must be there; else `outputs`, if it is."""
    from trivet.core.errors import ConfigError

    if given is None:
        return [path for path in [Path("outputs")] if path.is_dir()]
    for name in given:
        if not Path(name).expanduser().is_dir():
            raise ConfigError("no folder", where=f"--runs {name}", fix="Name what `out` was set to")
    return [Path(name).expanduser() for name in given]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="trivet report",
        description="Print the rows of a ledger side by side, or write all of "
        "it as a site: leaderboards, ablations, stages, curves, and how each row was made.",
    )
    parser.add_argument("--ledger", help=f"the ledger's file (default {_LEDGER})")
    parser.add_argument("--bench", help="only the rows of this bench")
    parser.add_argument("--metrics", default="ndcg@10,recall@10,recall@100", help="comma-separated")
    parser.add_argument(
        "--wide", action="store_true", help="one table of the first metric: a column for each task"
    )
    parser.add_argument("--share-of", help="the label whose first metric counts as 100%%")
    parser.add_argument("--published", action="store_true", help="add published figures, marked")
    parser.add_argument("--format", choices=FORMATS, default="markdown")
    parser.add_argument("--site", metavar="DIR", help="write a static site into this folder")
    parser.add_argument(
        "--pages", metavar="FILE", help="the site's questions: labels by page, YAML"
    )
    parser.add_argument(
        "--runs",
        action="append",
        metavar="DIR",
        help="a folder with runs/ and artifacts/, for curves and lineage; again for each "
        "(default outputs, if it is there)",
    )
    parser.add_argument("--rounds", type=int, default=10_000, help="of the site's random draws")
    parser.add_argument("--output", help="write to this file instead of the terminal")
    return parser
