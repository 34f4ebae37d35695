"""`trivet sae inspect`: what latents stand for, and what of a document's score is whose."""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from trivet.cli.eval import config_of
from trivet.cli.eval import parser as eval_parser
from trivet.core.errors import ConfigError

if TYPE_CHECKING:
    from trivet.bench.task import Task
    from trivet.report.latent_inspection import Inspection


def run(argv: list[str]) -> int:
    """Index, look, print."""
    flags = _parser().parse_intermixed_args(argv)
    _check(flags)
    inspection = opened(flags)
    if flags.query is not None:
        return _pair(inspection, flags)
    task = inspection.open()
    return _latents(inspection, task, flags)


def opened(flags: argparse.Namespace) -> Inspection:
    """The inspection that the flags describe."""
    words = ["--bench", flags.bench, "--model", flags.model, "--retriever", "latent"]
    for name in ("tasks", "data", "split"):
        if getattr(flags, name) is not None:
            words += [f"--{name}", getattr(flags, name)]
    words += ["--no-cache"] if flags.no_cache else []
    config = config_of(eval_parser().parse_args([*words, *flags.overrides]), "inspect")
    config["look"]["seed"] = flags.seed

    from trivet.core.schema import build

    return build(config)


def shared(prog: str, said: str) -> argparse.ArgumentParser:
    """The flags that inspecting and exploring share."""
    parser = argparse.ArgumentParser(prog=prog, description=said)
    parser.add_argument("--model", required=True, help="what stage sae made: an artifact, a folder")
    parser.add_argument(
        "--bench", default="demo", help="documents to look in, queries to ask (default demo)"
    )
    parser.add_argument("--tasks", help="the bench's task, where it has several")
    parser.add_argument("--data", help="a folder with local copies of the tasks, in BEIR layout")
    parser.add_argument("--split", help="the qrels to use (default test)")
    parser.add_argument("--seed", type=int, default=0, help="draws all that is drawn (default 0)")
    parser.add_argument("--no-cache", action="store_true", help="neither use nor keep terms")
    return parser


def _check(flags: argparse.Namespace) -> None:
    asked = [bool(flags.latent), flags.sample is not None, flags.query is not None]
    if sum(asked) != 1:
        fix = "Say --latent NUMBER, --sample COUNT, or --query and --document"
        raise ConfigError("one of three is asked for", where="trivet sae inspect", fix=fix)
    if (flags.query is None) != (flags.document is None):
        raise ConfigError("a query and a document go together", where="--document")
    for name in ("sample", "top"):
        value = getattr(flags, name)
        if value is not None and value < 1:
            raise ConfigError("must be at least 1", where=f"--{name}")


def _pair(inspection: Inspection, flags: argparse.Namespace) -> int:
    """A query and a document, by their ids or as they are typed."""
    from trivet.report.latent_text import pair_text

    known = inspection.bench.tasks[0].load().corpus.ids
    typed = flags.document not in known
    task = inspection.open([flags.document] if typed else [])
    found = inspection.pair(task, flags.query, "typed-1" if typed else flags.document)
    print(_json(asdict(found)) if flags.json else pair_text(found, flags.top))
    return 0


def _latents(inspection: Inspection, task: Task, flags: argparse.Namespace) -> int:
    """Latents by their numbers, or drawn."""
    from trivet.report.latent_look import drawn
    from trivet.report.latent_text import card, score_table, share_table

    frequencies = inspection.postings.frequencies
    alive = int((frequencies > 0).sum())
    asked = list(dict.fromkeys(flags.latent or []))  # each once
    latents = asked or drawn(inspection.postings, flags.sample, flags.seed)
    features = inspection.features(task, latents)
    if flags.json:
        facts = {"model": flags.model, "task": task.name, "documents": len(task.corpus)}
        facts |= {"latents": len(frequencies), "alive": alive, "seed": flags.seed}
        print(_json(facts | {"features": [asdict(one) for one in features]}))
        return 0
    if flags.sample is not None:
        print(
            f"{len(features)} latents drawn by seed {flags.seed}, of {alive:,} that stand in "
            f"some document of {task.name} ({len(frequencies):,} in all)\n"
        )
    print(score_table(features))
    for one in features:
        print(f"\n{card(one)}")
    if flags.sample is not None:
        print(f"\n{share_table(features)}")
    return 0


def _json(value: dict[str, Any]) -> str:
    """One JSON object; what is no number is null."""

    def plain(node: Any) -> Any:
        if isinstance(node, dict):
            return {name: plain(part) for name, part in node.items()}
        if isinstance(node, list | tuple):
            return [plain(part) for part in node]
        return None if isinstance(node, float) and not math.isfinite(node) else node

    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False)


def _parser() -> argparse.ArgumentParser:
    parser = shared(
        "trivet sae inspect",
        "Show what latents stand for (top tokens, contexts, documents they are decisive for) after "
        "an automatic score of whether their contexts can be told at all; or which latents a "
        "query and a document share, and what of the score is whose.",
    )
    parser.add_argument("--latent", type=int, action="append", help="a number; again for each")
    parser.add_argument("--sample", type=int, help="so many latents, drawn by --seed")
    parser.add_argument("--query", help="a query's id in the bench, or a text")
    parser.add_argument(
        "--document",
        help="a document's id in the bench, or a text, which is then searched with the bench's",
    )
    parser.add_argument("--top", type=int, default=20, help="latents of a pair shown (default 20)")
    parser.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    parser.add_argument("overrides", nargs="*", help="key=value, such as look.contexts=8")
    return parser
