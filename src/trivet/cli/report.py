"""`trivet report`: rows of a ledger as a table."""

from __future__ import annotations

import argparse
from pathlib import Path


def run(argv: list[str]) -> int:
    """Read the ledger and print its rows side by side."""
    parser = argparse.ArgumentParser(
        prog="trivet report", description="Print the rows of a ledger side by side, as Markdown."
    )
    parser.add_argument("--ledger", default="results/ledger.jsonl", help="the ledger's file")
    parser.add_argument("--metrics", default="ndcg@10,recall@10,recall@100", help="comma-separated")
    parser.add_argument("--share-of", help="the label whose first metric counts as 100%%")
    parser.add_argument("--published", action="store_true", help="add published figures, marked")
    flags = parser.parse_args(argv)

    from trivet.bench.ledger import Ledger
    from trivet.core.errors import TrivetError
    from trivet.report.compare import compare

    rows = list(Ledger(Path(flags.ledger)).read())
    if not rows:
        raise TrivetError("no rows", where=flags.ledger, fix="trivet eval adds some")
    metrics = flags.metrics.split(",")
    print(compare(rows, metrics, share_of=flags.share_of, published=flags.published))
    return 0
