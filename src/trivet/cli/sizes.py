"""`trivet sizes`: what a model's vectors are worth with fewer dimensions, bits and vectors."""

from __future__ import annotations

import argparse
import json
import shlex

from trivet.cli.eval import composed, parser
from trivet.core.errors import ConfigError


def run(argv: list[str]) -> int:
    """Encode once, measure every size, print the table."""
    flags = _parser().parse_args(argv)
    dims, pools = _numbers(flags.dims, "--dims"), _numbers(flags.pools, "--pools")
    budgets = _numbers(flags.budgets, "--budgets")
    words = ["--bench", flags.bench, "--model", flags.model]
    for name in ("retriever", "tasks", "data", "split"):
        if getattr(flags, name) is not None:
            words += [f"--{name}", getattr(flags, name)]
    own = ["--no-cache"] if flags.no_cache else []
    for name in ("label", "ledger"):
        own += [f"--{name}", getattr(flags, name)] if getattr(flags, name) else []
    evaluation = composed(parser().parse_args([*words, *own, *flags.overrides]))

    from trivet.bench.sizes import Asked, Size, TokenSize, measure_sizes, size_table
    from trivet.core.ranks import rank

    def command(size: Size | TokenSize, label: str) -> str:
        """What measures one size alone."""
        settings = [*flags.overrides, *size.settings()]
        return "trivet eval " + shlex.join([*words, "--label", label, *settings])

    asked = Asked(dims, flags.stores, pools, budgets)
    found = measure_sizes(evaluation, asked, command)
    if rank() > 0:
        return 0
    bench = evaluation.bench
    if flags.json:
        rows = [one.as_json() for one in found]
        print(json.dumps({"bench": bench.name, "model": flags.model, "sizes": rows}))
        return 0
    mains = list(dict.fromkeys(bench.main_of(task.name) for task in bench.tasks))
    print(size_table(found, mains[0] if len(mains) == 1 else "average"))
    rows = len(found) * len(bench.tasks)
    print(f"\n{rows} row(s) added to {evaluation.ledger}")
    return 0


def _numbers(text: str | None, flag: str) -> list[int] | None:
    """The numbers of a flag; argparse's own word on what is none would be a page."""
    try:
        return None if text is None else [int(word) for word in text.split(",")]
    except ValueError:
        what = f"{text} is not whole numbers by commas"
        raise ConfigError(what, where=flag, fix=f"Write {flag} 4 or {flag} 2,4") from None


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="trivet sizes",
        description="Measure a model with fewer dimensions and fewer bits a number, and a ColBERT "
        "model with fewer vectors a document; texts are encoded once, and every size adds its "
        "rows to the ledger.",
    )
    parser.add_argument("--bench", required=True, help="a bench, or any folder in BEIR layout")
    parser.add_argument("--model", required=True, help="an artifact, a folder or a hub id")
    parser.add_argument("--retriever", help="dense or colbert (default dense)")
    parser.add_argument("--tasks", help="some of the bench's tasks, by commas")
    parser.add_argument("--data", help="a folder with local copies of the tasks, in BEIR layout")
    parser.add_argument("--split", help="the qrels to use (default test)")
    parser.add_argument(
        "--dims",
        help="by commas (default the model's and a half; of a dense model a quarter, too)",
    )
    parser.add_argument(
        "--stores",
        type=_words,
        help="by commas (default float32,int8,binary, and binary twice: rescored by int8 vectors, "
        "and by its own signs; of a ColBERT model float16,int8,binary, the first of them as "
        "retriever.keep says)",
    )
    parser.add_argument(
        "--pools",
        help="tokens of a document that become one vector, by commas (colbert; default 1,2,4)",
    )
    parser.add_argument("--budgets", help="most vectors a document, by commas (colbert)")
    parser.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    parser.add_argument("--no-cache", action="store_true", help="keep no vectors afterwards")
    parser.add_argument("--ledger", help="the ledger's file (default results/ledger.jsonl)")
    parser.add_argument("--label", help="what rows' labels begin with (default the model's name)")
    parser.add_argument("overrides", nargs="*", help="key=value, such as retriever.precision=bf16")
    return parser
