"""`trivet report`: rows of a ledger as a table."""

from __future__ import annotations

import argparse
from pathlib import Path

FORMATS = ["markdown", "latex", "csv"]


def run(argv: list[str]) -> int:
    """Read the ledger and print its rows side by side."""
    flags = _parser().parse_args(argv)

    from trivet.bench.ledger import Ledger
    from trivet.core.errors import ConfigError, TrivetError
    from trivet.report.labels import distinct
    from trivet.report.ledger_table import across_tasks, by_task, of_bench
    from trivet.report.render import RENDERERS

    rows = distinct(Ledger(Path(flags.ledger)).read())
    if not rows:
        raise TrivetError("no rows", where=flags.ledger, fix="trivet eval adds some")
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="trivet report", description="Print the rows of a ledger side by side."
    )
    parser.add_argument("--ledger", default="results/ledger.jsonl", help="the ledger's file")
    parser.add_argument("--bench", help="only the rows of this bench")
    parser.add_argument("--metrics", default="ndcg@10,recall@10,recall@100", help="comma-separated")
    parser.add_argument(
        "--wide", action="store_true", help="one table of the first metric: a column for each task"
    )
    parser.add_argument("--share-of", help="the label whose first metric counts as 100%%")
    parser.add_argument("--published", action="store_true", help="add published figures, marked")
    parser.add_argument("--format", choices=FORMATS, default="markdown")
    parser.add_argument("--output", help="write to this file instead of the terminal")
    return parser
