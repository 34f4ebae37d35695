"""`trivet compare`: rows of a ledger against a baseline, with tests and intervals."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from trivet.cli.report import FORMATS


def run(argv: list[str]) -> int:
    """Read the ledger, compare what the words name, print tables."""
    flags = _parser().parse_args(argv)

    from trivet.bench.ledger import Ledger
    from trivet.core.errors import TrivetError
    from trivet.report.comparison import compare
    from trivet.report.comparison_table import as_json, as_table
    from trivet.report.labels import distinct
    from trivet.report.render import RENDERERS
    from trivet.report.selection import choose

    path = Path(flags.ledger)
    rows = distinct(Ledger(path).read())
    if not rows:
        raise TrivetError("no rows", where=flags.ledger, fix="trivet eval adds some")
    comparisons = compare(
        path,
        choose(rows, flags.rows, flags.bench),
        flags.metric,
        across=[name for name in flags.across.split(",") if name],
        seed=flags.seed,
        rounds=flags.rounds,
    )
    if flags.json:
        print(json.dumps(as_json(comparisons), allow_nan=False))
    else:
        print(RENDERERS[flags.format]([as_table(comparison) for comparison in comparisons]))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="trivet compare",
        description="Test rows of a ledger against a baseline. Rows that were not measured in one "
        "way are refused (exit status 3).",
    )
    parser.add_argument("rows", nargs="+", metavar="ROW", help="labels or ids; baseline first")
    parser.add_argument("--bench", help="the bench (default: the one the baseline was measured on)")
    parser.add_argument("--ledger", default="results/ledger.jsonl", help="the ledger's file")
    parser.add_argument("--metric", default="ndcg@10", help="what is compared (default ndcg@10)")
    parser.add_argument("--seed", type=int, default=0, help="of the random draws (default 0)")
    parser.add_argument("--rounds", type=int, default=10_000, help="random draws (default 10000)")
    parser.add_argument(
        "--across",
        default="",
        help="fields that may differ, such as lengths,prompts",
    )
    parser.add_argument("--format", choices=FORMATS, default="markdown")
    parser.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    return parser
