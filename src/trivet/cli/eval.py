"""`trivet eval`: measure a retriever on a bench, append the rows to the ledger, show them."""

from __future__ import annotations

import argparse
import copy
import json
import logging
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trivet.cli.choices import choices, listing
from trivet.core.errors import ConfigError, nearest

if TYPE_CHECKING:
    from trivet.bench.bench import Bench
    from trivet.bench.evaluation import Evaluation

_GROUPS = ["bench", "retriever", "machine"]

log = logging.getLogger("trivet")


def run(argv: list[str]) -> int:
    """Read the flags, compose the config, evaluate every task of the bench."""
    flags = parser().parse_intermixed_args(argv)
    if flags.repro is not None:
        return _repro(flags)
    evaluation = composed(flags)
    rows = evaluation.run("trivet eval " + shlex.join(argv))
    if not rows:  # not the first of several processes
        return 0
    if flags.json:
        print(json.dumps(_as_json(evaluation.bench, rows)))
    else:
        print(_as_table(evaluation.bench, rows))
        print(f"\n{len(rows)} row(s) added to {evaluation.ledger}")
    return 0


def _repro(flags: argparse.Namespace) -> int:
    """Run a row's command again, its vectors made anew, and say what came out otherwise."""
    from trivet.bench.ledger import Ledger
    from trivet.bench.repro import find_row, reproduce
    from trivet.core.errors import NotReproduced, TrivetError

    path = Path(flags.ledger or "results/ledger.jsonl").expanduser()
    row = find_row(list(Ledger(path).read()), flags.repro, str(path))
    words = shlex.split(row["command"])
    if words[:2] != ["trivet", "eval"]:
        what = f"its command is not one of trivet eval: {row['command']}"
        raise TrivetError(what, where=f"row {row['id']}")
    again = parser().parse_args(words[2:])
    again.no_cache = True
    try:
        found = reproduce(path, row, composed(again))
    except TrivetError as error:
        fix = f"{error.fix} Paths are as they were typed: go where this was: {row['command']}"
        raise TrivetError(error.what, where=f"row {row['id']}: {error.where}", fix=fix) from None
    if found is None:  # not the first of several processes
        return 0
    print(json.dumps(found.as_json()) if flags.json else "\n".join(found.lines()))
    if found.first():
        raise NotReproduced(found.first(), where=f"row {row['id']} is not reproduced")
    return 0


def parser() -> argparse.ArgumentParser:
    """The flags of `trivet eval`, which a row's command holds."""
    parser = argparse.ArgumentParser(
        prog="trivet eval",
        description="Measure a retriever on a bench; every task adds a row to the ledger.",
        epilog=listing(_GROUPS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bench", help="a bench, or any folder in BEIR layout")
    parser.add_argument("--model", help="an artifact, a folder or a hub id; implies a retriever")
    parser.add_argument("--retriever", help="how documents are found (default bm25, or dense)")
    parser.add_argument(
        "--ranking", metavar="FILE", help="measure this run in TREC's format; nothing is searched"
    )
    parser.add_argument(
        "--repro", metavar="ROW", help="measure a row of the ledger again and compare (3: differs)"
    )
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


def composed(flags: argparse.Namespace) -> Evaluation:
    """What the flags and the config tree say together."""
    from trivet.core.schema import build

    return build(config_of(flags))


def config_of(flags: argparse.Namespace, name: str = "eval") -> dict[str, Any]:
    """The same as plain Python; `name` is a config with a bench and a retriever."""
    from trivet.cli import compose

    compose.prepare()
    _check_words(flags)
    extra = Path(flags.config_dir) if flags.config_dir else None
    known = choices("bench", extra)
    path = Path(flags.bench).expanduser()
    if flags.bench not in known and not path.is_dir():
        what = f"{flags.bench} is neither a bench nor a folder"
        raise ConfigError(what, where="--bench", fix=nearest(flags.bench, known))
    if flags.model == "":
        raise ConfigError("is empty", where="--model", fix="Name an artifact, a folder or a hub id")
    implied = "ranking" if flags.ranking else "dense" if flags.model else "bm25"
    retriever = flags.retriever or implied
    if flags.retriever is None and flags.model and (Path(flags.model) / "sae").is_dir():
        log.warning("%s holds a dictionary of latent terms, but its dense vectors are measured; "
                    "--retriever latent searches by the terms", flags.model)  # fmt: skip
    if retriever not in choices("retriever", extra):
        fix = nearest(retriever, choices("retriever", extra))
        raise ConfigError(f"no retriever {retriever}", where="--retriever", fix=fix)
    bench = flags.bench if flags.bench in known else "folder"
    words = [f"bench={bench}", f"retriever={retriever}", *flags.overrides]
    if extra is not None:
        words.append(f"hydra.searchpath=[file://{extra.resolve()}]")

    config = compose.composed(name, words)
    _set(config, flags, path if bench == "folder" and flags.bench != "folder" else None)
    return config


def _check_words(flags: argparse.Namespace) -> None:
    """What the flags and the words beside them must be, before Hydra reads them."""
    if flags.bench is None:
        fix = "trivet eval --bench FOLDER, or one of those in --help"
        raise ConfigError("a bench is required", where="--bench", fix=fix)
    for word in flags.overrides:
        if "=" not in word and not word.startswith("~"):
            fix = "Write key=value, such as retriever.precision=bf16, or a flag of --help"
            raise ConfigError(f"{word} sets nothing", where="trivet eval", fix=fix)
    if flags.ranking and (flags.model or flags.retriever not in (None, "ranking")):
        fix = "Leave one of them out"
        raise ConfigError("a ranking needs no model and no retriever", where="--ranking", fix=fix)


def _set(config: dict[str, Any], flags: argparse.Namespace, path: Path | None) -> None:
    """Put the flags' values into the composed config: they may hold any character."""
    from trivet.cli.compose import nodes

    tasks = config["bench"]["tasks"]
    if path is not None:
        tasks[0]["path"] = str(path)
        tasks[0]["name"] = config["bench"]["name"] = path.resolve().name
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
        for node in [config, *nodes(config["retriever"])]:
            if "cache" in node:
                node["cache"]["use"] = False
    if flags.model:
        _set_model(config["retriever"], flags.model)
    elif config["retriever"].get("model") == "???":
        fix = "Say --model, with an artifact, a folder or a hub id"
        raise ConfigError("this retriever needs one", where="--model", fix=fix)
    if flags.ranking:
        config["retriever"]["path"] = flags.ranking
    for name in ("k", "ledger", "label"):
        if getattr(flags, name) is not None:
            config[name] = getattr(flags, name)


def _set_model(retriever: dict[str, Any], model: str) -> None:
    """Name the model: of the retriever itself, or of its only part that wants one."""
    from trivet.cli.compose import nodes

    wanting = [node for node in nodes(retriever) if node.get("model") == "???"]
    if "model" in retriever:
        retriever["model"] = model
    elif len(wanting) == 1:
        wanting[0]["model"] = model
    else:
        what = "this retriever has no model" if not wanting else "several parts want a model"
        raise ConfigError(what, where="--model", fix="Set retriever.….model= of each part")


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
    out += "".join(f"\n{line}" for line in _cut(rows))
    if len(rows) > 1:
        out += f"\n\naverage {overall(values, bench):.4f} ({_averaged(bench, values)})"
    return out


def _cut(rows: list[dict[str, Any]]) -> Iterator[str]:
    """What was longer than the model's lengths, if anything was."""
    for row in rows:
        for side, texts in (("query", "queries"), ("document", "documents")):
            share = row["retriever"].get(f"truncated_{side}_share", 0.0)
            if share:
                length = row["retriever"]["lengths"].get(side)
                yield f"{row['task']}: {share:.1%} of the {texts} were cut at {length} tokens"


def _averaged(bench: Bench, tasks: Iterable[str]) -> str:
    """What an average is made of."""
    mains = dict.fromkeys(bench.main_of(task) for task in tasks)
    return f"{' and '.join(mains)}; each task or group counts once"


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
