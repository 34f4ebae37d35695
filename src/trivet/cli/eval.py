"""`trivet eval`: measure a retriever on a bench, append the rows to the ledger, show them."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trivet.cli.choices import choices, listing
from trivet.core.errors import ConfigError, nearest
from trivet.core.places import config_folder

if TYPE_CHECKING:
    from trivet.bench.evaluation import Evaluation

_GROUPS = ["bench", "retriever", "machine"]


def run(argv: list[str]) -> int:
    """Read the flags, compose the config, evaluate every task of the bench."""
    flags = _parser().parse_args(argv)
    evaluation = _compose(flags)
    rows = evaluation.run("trivet eval " + shlex.join(argv))
    if flags.json:
        print(json.dumps(_as_json(evaluation.bench.name, rows)))
    else:
        print(_as_table(rows))
        print(f"\n{len(rows)} row(s) added to {evaluation.ledger}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="trivet eval",
        description="Measure a retriever on a bench; every task adds a row to the ledger.",
        epilog=listing(_GROUPS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bench", required=True, help="a bench, or any folder in BEIR layout")
    parser.add_argument("--model", help="an artifact, a folder or a hub id; implies a retriever")
    parser.add_argument("--retriever", help="how documents are found (default bm25, or dense)")
    parser.add_argument("--data", help="the folder that holds the bench's data, instead of its own")
    parser.add_argument("--split", help="the qrels to use (default test)")
    parser.add_argument("--k", type=int, help="documents retrieved per query (default 100)")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object and nothing else"
    )
    parser.add_argument("--ledger", help="the ledger's file (default results/ledger.jsonl)")
    parser.add_argument("--label", help="what tables call these rows (default the model's name)")
    parser.add_argument("--config-dir", help="a config folder of your own")
    parser.add_argument("overrides", nargs="*", help="key=value, such as retriever.precision=bf16")
    return parser


def _compose(flags: argparse.Namespace) -> Evaluation:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    from trivet.cli import compose
    from trivet.core.schema import build

    compose.prepare()
    extra = Path(flags.config_dir) if flags.config_dir else None
    known = choices("bench", extra)
    path = Path(flags.bench).expanduser()
    if flags.bench not in known and not path.is_dir():
        what = f"{flags.bench} is neither a bench nor a folder"
        raise ConfigError(what, where="--bench", fix=nearest(flags.bench, known))
    retriever = flags.retriever or ("dense" if flags.model else "bm25")
    if retriever not in choices("retriever", extra):
        fix = nearest(retriever, choices("retriever", extra))
        raise ConfigError(f"no retriever {retriever}", where="--retriever", fix=fix)
    bench = flags.bench if flags.bench in known else "folder"
    words = [f"bench={bench}", f"retriever={retriever}", *flags.overrides]
    if extra is not None:
        words.append(f"hydra.searchpath=[file://{extra.resolve()}]")

    def composed(words: list[str]) -> dict[str, Any]:
        try:
            with initialize_config_dir(str(config_folder()), version_base="1.3"):
                return compose.container(hydra_compose("eval", overrides=words))
        except compose.FAILURES as error:
            forced = compose.leave_to_schema(error, words)
            if forced is not None:
                return composed(forced)
            raise compose.plainly(error) from None

    config = composed(words)
    _set(config, flags, path if bench == "folder" and flags.bench != "folder" else None)
    return build(config)


def _set(config: dict[str, Any], flags: argparse.Namespace, path: Path | None) -> None:
    """Put the flags' values into the composed config: they may hold any character."""
    tasks = config["bench"]["tasks"]
    if path is not None:
        tasks[0]["path"] = str(path)
        config["bench"]["name"] = path.resolve().name
    if flags.data:
        data = Path(flags.data)
        for task in tasks:
            task["path"] = str(data / task["name"]) if len(tasks) > 1 else str(data)
    if flags.split:
        for task in tasks:
            task["split"] = flags.split
    if flags.model:
        config["retriever"]["model"] = flags.model
    for name in ("k", "ledger", "label"):
        if getattr(flags, name) is not None:
            config[name] = getattr(flags, name)


def _as_json(bench: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    names = ("task", "split", "metrics", "seconds", "in_domain", "id")
    return {"bench": bench, "tasks": [{name: row[name] for name in names} for row in rows]}


def _as_table(rows: list[dict[str, Any]]) -> str:
    from trivet.bench.table import table

    metrics = list(rows[0]["metrics"])
    cells = [
        [row["task"] + (" (in-domain)" if row["in_domain"] else "")]
        + [f"{row['metrics'][name]:.4f}" for name in metrics]
        for row in rows
    ]
    return table(["task", *metrics], cells)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
