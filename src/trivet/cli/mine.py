"""`trivet mine`: hard negatives for pairs, or only the pairs that are consistent."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trivet.cli.choices import listing
from trivet.core.errors import ConfigError

if TYPE_CHECKING:
    from trivet.core.artifact import Artifact
    from trivet.mining.mine import Mine

_GROUPS = ["mine", "data", "retriever", "machine"]
_SAID = (
    "Mine hard negatives for pairs (mine=negatives), or keep only the pairs that a model finds "
    "again (mine=consistency). What was mined before is found."
)


def run(argv: list[str], command: str = "mine", said: str = _SAID) -> int:
    """Compose the config, mine every source, show what was found and how to use it."""
    flags = _parser(command, said).parse_intermixed_args(argv)
    work = _composed(flags, command)
    if flags.dry_run:
        from trivet.stages.outline import described

        for action, name, place in work.plan():
            print(f"{action:<6} {name:<20} {place}")
        print("", *described(command, work), sep="\n")
        return 0
    artifacts = work.run()

    from trivet.core.ranks import rank

    if rank() > 0:
        return 0
    if flags.json:
        print(json.dumps({"artifacts": [_as_json(artifact) for artifact in artifacts]}))
        return 0

    from trivet.mining.rows import data_lines, mined

    for artifact in artifacts:
        print(f"{_shown(artifact)}\n\n{artifact.path}\n")
    print("To train on this, a file in the data folder of a --config-dir of yours:\n")
    print(data_lines(map(mined, artifacts)))
    return 0


def _parser(command: str, said: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"trivet {command}",
        description=said,
        epilog=listing(_GROUPS if command == "mine" else ["reranker", "data", "machine"]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--pairs", help="a folder in BEIR layout, or files with columns query and positive"
    )
    parser.add_argument("--split", help="the qrels of a BEIR folder to use (default train)")
    parser.add_argument("--model", help="an artifact, a folder or a hub id, where one is wanted")
    parser.add_argument("--out", help="holds artifacts/ (default outputs)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be made, and stop")
    parser.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    parser.add_argument("--no-cache", action="store_true", help="neither use nor keep vectors")
    parser.add_argument("--config-dir", help="a config folder of your own")
    parser.add_argument("overrides", nargs="*", help="key=value: data=scitldr, mine.number=15")
    return parser


def _composed(flags: argparse.Namespace, command: str) -> Mine:
    """What the flags and the config tree say together."""
    from trivet.cli import compose
    from trivet.core.schema import build

    for word in flags.overrides:
        if "=" not in word and not word.startswith("~"):
            fix = "Write key=value, such as mine=consistency, or a flag of --help"
            raise ConfigError(f"{word} sets nothing", where=f"trivet {command}", fix=fix)
    words = list(flags.overrides)
    if flags.config_dir:
        words.append(f"hydra.searchpath=[file://{Path(flags.config_dir).resolve()}]")
    compose.prepare()
    config = compose.composed(command, words)
    if flags.pairs:
        if "data" in config:
            fix = "Leave one of them out"
            raise ConfigError("--pairs and data= are two choices", where="--pairs", fix=fix)
        config["data"] = {"sources": [_source(flags, command)]}
    elif "data" not in config:
        fix = "Say --pairs FOLDER_OR_FILE, or data=NAME (see --help)"
        raise ConfigError(f"there is nothing to {command}", where=f"trivet {command}", fix=fix)
    if flags.split and (not flags.pairs or "beir" not in config["data"]["sources"][0]):
        raise ConfigError("only a BEIR folder has splits", where="--split", fix="Leave it out")
    _set_model(config["mine"], flags.model)
    if flags.no_cache:
        for node in [config, *compose.nodes(config["mine"])]:
            if "cache" in node:
                node["cache"]["use"] = False
    if flags.out:
        config["out"] = flags.out
    return build(config)


def _source(flags: argparse.Namespace, command: str) -> dict[str, Any]:
    """The source that --pairs names."""
    from trivet.core.beir import has_corpus

    path = Path(flags.pairs).expanduser()
    if not path.exists():
        raise ConfigError("no such file or folder", where=f"--pairs {flags.pairs}")
    if (path / "manifest.json").is_file():
        return _mined(path)
    if has_corpus(path):
        split = flags.split or "train"
        return {"name": f"{path.resolve().name}-{split}", "beir": str(path), "split": split}
    name = path.resolve().name.split(".")[0]
    return {"name": name, "path": str(path), "columns": _columns(path, command)}


def _columns(path: Path, command: str) -> dict[str, Any]:
    """Pairs; what is to be scored may have negatives, or be tuples, as its first row says."""
    from trivet.core.tables import rows

    row: dict[str, Any] = {}
    if command == "score" and path.is_file():
        row = next((row for _, row in rows(path)), row)
    if "positive" not in row and "documents" in row:
        scores = {"scores": "scores"} if "scores" in row else {}
        return {"query": "query", "documents": "documents", **scores}
    negatives = {"negatives": ["negatives"]} if "negatives" in row else {}
    return {"query": "query", "positive": "positive", **negatives}


def _mined(path: Path) -> dict[str, Any]:
    """The rows of an artifact of `trivet mine`, with its source's name and prompts."""
    from trivet.core.artifact import Artifact
    from trivet.mining.rows import mined

    source = mined(Artifact.open(path))
    kept = {name: getattr(source, name) for name in ("name", "path", "prompts", "in_domain")}
    return kept | {"columns": source.columns.mapping()}


def _set_model(mine: dict[str, Any], model: str | None) -> None:
    """Name the model of every retriever that wants one."""
    from trivet.cli.compose import nodes

    wanting = [node for node in nodes(mine) if node.get("model") == "???"]
    if wanting and not model:
        fix = "Say --model, with an artifact, a folder or a hub id"
        raise ConfigError("a retriever or reranker needs one", where="--model", fix=fix)
    if model and not wanting:
        raise ConfigError("nothing wants one", where="--model", fix="Leave it out")
    for node in wanting:
        node["model"] = model


def _as_json(artifact: Artifact) -> dict[str, Any]:
    return {
        "source": artifact.manifest["source"]["name"],
        "kind": artifact.stage,
        "key": artifact.key,
        "path": str(artifact.path),
        "statistics": artifact.manifest["statistics"],
    }


def _shown(artifact: Artifact) -> str:
    """The statistics in short."""
    facts = artifact.manifest["statistics"]
    rows = facts["rows"]
    name = artifact.manifest["source"]["name"]
    if "first_is_best" in facts:
        line = (
            f"{name}: {facts['scores']} documents of {rows['read']} queries; the first is the best "
            f"of {facts['first_is_best']:.1%}, and all score alike for {facts['flat_rows']:.1%}"
        )
        if "above_0.99" not in facts:
            return line
        return (
            f"{line}; {facts['above_0.99']:.1%} of the scores lie above 0.99 of the logistic "
            f"function, {facts['below_0.01']:.1%} below 0.01"
        )
    line = f"{name}: {rows['written']} of {rows['read']} rows kept"
    if "places" in facts:
        places = facts["places"].items()
        return f"{line}; " + ", ".join(f"{count} found at {place}" for place, count in places)

    from trivet.bench.table import table

    reasons = list(next(iter(facts["dropped"].values())))
    cells = [
        [
            miner,
            f"{facts['shares_asked'][miner]:.3f}",
            f"{facts['shares'][miner]:.3f}",
            str(facts["negatives"][miner]),
            str(facts["candidates"][miner]),
            *(str(facts["dropped"][miner][reason]) for reason in reasons),
        ]
        for miner in facts["shares"]
    ]
    heads = ["miner", "share asked", "share", "negatives", "candidates", *reasons]
    short = (
        f"{rows['short']} had too few candidates, {facts['filled']} negatives stand in at random"
    )
    return f"{line}; {short}\n\n{table(heads, cells)}"
