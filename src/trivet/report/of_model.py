"""What a ledger holds of one model, for its card."""

from __future__ import annotations

from pathlib import Path

from trivet.bench.ledger import Ledger
from trivet.core.errors import TrivetError
from trivet.report.labels import distinct
from trivet.report.ledger_table import by_task, of_bench
from trivet.report.render import markdown

_FIRST = ("ndcg@10", "recall@10", "recall@100")


def of_model(ledger: Path, key: str) -> str:
    """A table for each bench and task, in Markdown, of the rows that a model key left."""
    rows = [row for row in Ledger(ledger).read() if row["retriever"]["model_key"] == key]
    if not rows:
        fix = "trivet eval --model adds some, or name another ledger"
        raise TrivetError(f"no row of the model {key[:16]}", where=str(ledger), fix=fix)
    blocks: list[str] = []
    for bench in dict.fromkeys(row["bench"] for row in rows):
        found = of_bench(distinct(rows), bench)
        held = [metric for metric in _FIRST if all(metric in row["metrics"] for row in found)]
        metrics = held or sorted(set.intersection(*(set(row["metrics"]) for row in found)))
        blocks += [f"### {bench}", markdown(by_task(found, metrics))]
    return "\n\n".join(blocks)
