"""`trivet eval`: measure a retriever on a bench, append the rows to the ledger, show them."""

from __future__ import annotations

import argparse
import copy
import json
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trivet.cli.choices import choices, listing
from trivet.core.errors import ConfigError, nearest
from trivet.core.places import config_folder

if TYPE_CHECKING:
    from trivet.bench.bench import Bench
    from trivet.bench.evaluation import Evaluation

_GROUPS = ["bench", "retriever", "machine"]


def run(argv: list[str]) -> int:
    """Read the flags, compose the config, evaluate every task of the bench."""
    flags = _parser().parse_intermixed_args(argv)
    evaluation = _compose(flags)
    rows = evaluation.run("trivet eval " + shlex.join(argv))
    if not rows:  # not the first of several processes
        return 0
    if flags.json:
        print(json.dumps(_as_json(evaluation.bench, rows)))
    else:
        print(_as_table(evaluation.bench, rows))
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
    parser.add_argument(
        "--tasks", help="some of the bench's tasks: names, groups or patterns, by commas"
    )
    parser.add_argument("--data", help="a folder with local copies of the tasks, in BEIR layout")
    parser.add_argument("--split", help="the qrels to use (default test)")
    parser.add_argument(
        "--tune-on", metavar="SPLIT", help="choose a hybrid's weights on this split"
    )
    parser.add_argument(
        "--k",
        type=int,
        help="documents retrieved per query (default as deep as the metrics look, at least 100)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object and nothing else"
    )
    parser.add_argument("--no-cache", action="store_true", help="neither use nor keep vectors")
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
    if flags.model == "":
        raise ConfigError("is empty", where="--model", fix="Name an artifact, a folder or a hub id")
    for word in flags.overrides:
        if "=" not in word and not word.startswith("~"):
            raise ConfigError(f"{word} is not key=value", fix="See trivet eval --help")
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
        config["bench"]["data"] = flags.data
        for task in tasks:
            if task.get("path") == "???":
                task["path"] = flags.data
    for task in tasks:
        if task.get("path") == "???":
            what = f"{config['bench']['name']} needs a folder"
            raise ConfigError(what, where="--data", fix="Say --data DIR, or --bench DIR")
    if flags.tasks:
        config["bench"]["pick"] = [word.strip() for word in flags.tasks.split(",")]
    if flags.split:
        for task in tasks:
            if str(task["_target_"]).endswith((".Folder", ".Hub")):
                task["split"] = flags.split
    if flags.tune_on:
        config["tune"] = copy.deepcopy(config["bench"])
        for task in config["tune"]["tasks"]:
            task["split"] = flags.tune_on
    if flags.no_cache:
        for node in [config, *_nodes(config["retriever"])]:
            if "cache" in node:
                node["cache"]["use"] = False
    if flags.model:
        _set_model(config["retriever"], flags.model)
    elif config["retriever"].get("model") == "???":
        fix = "Say --model, with an artifact, a folder or a hub id"
        raise ConfigError("this retriever needs one", where="--model", fix=fix)
    for name in ("k", "ledger", "label"):
        if getattr(flags, name) is not None:
            config[name] = getattr(flags, name)


def _set_model(retriever: dict[str, Any], model: str) -> None:
    """Name the model: of the retriever itself, or of its only part that wants one."""
    wanting = [node for node in _nodes(retriever) if node.get("model") == "???"]
    if "model" in retriever:
        retriever["model"] = model
    elif len(wanting) == 1:
        wanting[0]["model"] = model
    else:
        what = "this retriever has no model" if not wanting else "several parts want a model"
        raise ConfigError(what, where="--model", fix="Set retriever.….model= of each part")


def _nodes(node: Any) -> list[dict[str, Any]]:
    """A retriever's config and those of its parts, however deep."""
    if not isinstance(node, dict):
        return []
    own: dict[str, Any] = node
    return [own, *(found for value in own.values() for found in _nodes(value))]


def _as_json(bench: Bench, rows: list[dict[str, Any]]) -> dict[str, Any]:
    names = ("task", "split", "metrics", "seconds", "in_domain", "id")
    out: dict[str, Any] = {
        "bench": bench.name,
        "tasks": [{name: row[name] for name in names} for row in rows],
    }
    if len(rows) > 1:
        from trivet.bench.average import by_group, overall

        values = {row["task"]: row["metrics"] for row in rows}
        out |= {"groups": by_group(values), "average": overall(values, bench)}
    return out


def _as_table(bench: Bench, rows: list[dict[str, Any]]) -> str:
    from trivet.bench.average import by_group, overall
    from trivet.bench.table import table

    metrics = list(rows[0]["metrics"])
    values = {row["task"]: row["metrics"] for row in rows}
    marks = {row["task"]: " (in-domain)" for row in rows if row["in_domain"]}
    cells = [
        [task + marks.get(task, "")] + [f"{found[name]:.4f}" for name in metrics]
        for task, found in (values | {f"{k}, mean": v for k, v in by_group(values).items()}).items()
    ]
    out = table(["task", *metrics], cells)
    if len(rows) > 1:
        out += f"\n\naverage {overall(values, bench):.4f} ({_averaged(bench, values)})"
    return out


def _averaged(bench: Bench, tasks: Iterable[str]) -> str:
    """What an average is made of."""
    mains = dict.fromkeys(bench.main_of(task) for task in tasks)
    return f"{' and '.join(mains)}; each task or group counts once"


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
