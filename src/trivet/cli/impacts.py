"""`trivet impacts`: what a retriever of learned terms searches, for Seismic and its like."""

from __future__ import annotations

import argparse
from pathlib import Path

from trivet.cli.eval import composed
from trivet.cli.eval import parser as eval_parser
from trivet.core.errors import ConfigError


def run(argv: list[str]) -> int:
    """Encode documents and queries, write both, say what is there."""
    flags = _parser().parse_args(argv)
    out = Path(flags.to).expanduser()
    if out.exists():
        raise ConfigError("is there already", where=f"--to {out}", fix="Name a new folder")
    words = ["--bench", flags.bench, "--model", flags.model, "--retriever", flags.retriever]
    words += [word for name in ("tasks", "data", "split") if getattr(flags, name) is not None
              for word in (f"--{name}", getattr(flags, name))]  # fmt: skip
    evaluation = composed(eval_parser().parse_args([*words, *flags.overrides]))

    from trivet.core.files import whole_folder
    from trivet.retrieval.impacts import write_impacts
    from trivet.retrieval.terms import Terms

    retriever, tasks = evaluation.retriever, evaluation.bench.tasks
    if not isinstance(retriever, Terms):
        fix = "Choose latent or splade"
        raise ConfigError("has no learned terms", where="--retriever", fix=fix)
    if len(tasks) > 1:
        fix = "Choose one with --tasks"
        raise ConfigError(f"{len(tasks)} tasks in the bench", where="--bench", fix=fix)
    task = tasks[0].load()
    retriever.adapt(task.lengths, task.prompts)
    retriever.index(task.corpus)
    with whole_folder(out) as aside:
        found = write_impacts(aside / "documents.jsonl", task.corpus.ids, retriever.documents())
        asked = retriever.asked(list(task.queries.values()))
        write_impacts(aside / "queries.jsonl", list(task.queries), asked)
    print(
        f"{out}: {len(task.corpus):,} documents, {found:,} weights, {len(task.queries):,} queries"
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="trivet impacts",
        description="Write the weights of documents' and queries' terms as JSON lines, which "
        "Seismic indexes as they are.",
    )
    parser.add_argument("--bench", required=True, help="a bench, or any folder in BEIR layout")
    parser.add_argument("--model", required=True, help="an artifact, a folder or a hub id")
    parser.add_argument("--retriever", default="latent", help="latent (the default) or splade")
    parser.add_argument("--to", required=True, metavar="FOLDER", help="a folder that is not there")
    parser.add_argument("--tasks", help="the bench's task, where it has several")
    parser.add_argument("--data", help="a folder with local copies of the tasks, in BEIR layout")
    parser.add_argument("--split", help="the qrels to use (default test)")
    parser.add_argument("overrides", nargs="*", help="key=value, such as retriever.k1=1.5")
    return parser
