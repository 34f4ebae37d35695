"""`trivet explain`: why a ColBERT model ranks as it does, token by token, as one HTML file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from trivet.cli.eval import composed
from trivet.cli.eval import parser as eval_parser
from trivet.core.errors import ConfigError, nearest

if TYPE_CHECKING:
    from trivet.bench.source import TaskSource
    from trivet.bench.task import Task
    from trivet.report.matches import Matches
    from trivet.retrieval.colbert import ColbertRetriever


def run(argv: list[str]) -> int:
    """Search, match, write the page, say where it is."""
    flags = _parser().parse_intermixed_args(argv)
    if flags.top < 1:
        raise ConfigError("must be at least 1", where="--top")
    found, facts = _of_texts(flags) if flags.bench is None else _of_bench(flags)

    from trivet.core.files import write_bytes
    from trivet.report.match_page import page

    out = Path(flags.out).expanduser()
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, page(found, facts).encode("utf-8", "replace"))
    for i, one in enumerate(found.documents):
        judged = " (relevant)" if one.grade else ""
        print(f"{chr(65 + i)}  {one.score:.4f}  rank {one.rank}, document {one.id}{judged}")
    print(out)
    return 0


def _of_texts(flags: argparse.Namespace) -> tuple[Matches, str]:
    """A query and documents as they are typed."""
    if not flags.document:
        fix = "Give --document TEXT, once for each, or --bench and a query's id"
        raise ConfigError("no document", where="--document", fix=fix)

    from trivet.core.records import Corpus
    from trivet.report.matches import match

    ids = [str(i) for i in range(1, len(flags.document) + 1)]
    retriever = _retriever(flags, "demo", ["--no-cache"])[0]  # the bench is not opened
    corpus = Corpus(ids, [""] * len(ids), flags.document)
    return match(retriever, corpus, flags.query, wanted=ids), _facts(retriever)


def _of_bench(flags: argparse.Namespace) -> tuple[Matches, str]:
    """A query of a bench, and its best documents or those named."""
    words = [word for name in ("tasks", "data", "split") if getattr(flags, name) is not None
             for word in (f"--{name}", getattr(flags, name))]  # fmt: skip
    words += ["--no-cache"] if flags.no_cache else []
    retriever, tasks = _retriever(flags, flags.bench, words)

    from trivet.report.matches import match

    if len(tasks) > 1:
        fix = "Choose one with --tasks"
        raise ConfigError(f"{len(tasks)} tasks in the bench", where="--bench", fix=fix)
    task: Task = tasks[0].load()
    if flags.query not in task.queries:
        fix = f"Give a query's id. {nearest(flags.query, task.queries)}"
        raise ConfigError(f"no query {flags.query} in {task.name}", where="--query", fix=fix)
    retriever.adapt(task.lengths, task.prompts)
    found = match(
        retriever,
        task.corpus,
        task.queries[flags.query],
        top=flags.top,
        wanted=flags.document,
        grades=task.qrels[flags.query],
        id=f"{flags.query} of {task.name}",
    )
    return found, _facts(retriever)


def _retriever(
    flags: argparse.Namespace, bench: str, words: list[str]
) -> tuple[ColbertRetriever, list[TaskSource]]:
    """What `trivet eval --retriever colbert` would search with, and the bench's tasks."""
    words = ["--bench", bench, "--model", flags.model, "--retriever", "colbert", *words]
    evaluation = composed(eval_parser().parse_args([*words, *flags.overrides]))

    from trivet.retrieval.colbert import ColbertRetriever

    assert isinstance(evaluation.retriever, ColbertRetriever)
    return evaluation.retriever, evaluation.bench.tasks


def _facts(retriever: ColbertRetriever) -> str:
    """How the texts were read and kept."""
    model = retriever.load()
    lengths = model.tokenizer.lengths
    return (
        f"Written by trivet explain. The model reads {lengths['query']} tokens of a query and "
        f"{lengths['document']} of a document; expansion of queries: {model.expansion}; "
        f"{model.dim} dimensions a token, documents kept as {retriever.keep}. "
        "This file needs no network and no other file."
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="trivet explain",
        description="Show which query token matched which document token of a ColBERT model, and "
        "why one document is above another: one HTML file that needs no network.",
    )
    parser.add_argument("--model", required=True, help="an artifact, a folder or a hub id")
    parser.add_argument("--query", required=True, help="a text; with --bench, a query's id")
    parser.add_argument(
        "--document", action="append", help="a text, or with --bench an id; again for each"
    )
    parser.add_argument("--bench", help="a bench, or any folder in BEIR layout, to search")
    parser.add_argument("--top", type=int, default=3, help="best documents shown (default 3)")
    parser.add_argument("--tasks", help="the bench's task, where it has several")
    parser.add_argument("--data", help="a folder with local copies of the tasks, in BEIR layout")
    parser.add_argument("--split", help="the qrels to use (default test)")
    parser.add_argument("--no-cache", action="store_true", help="neither use nor keep vectors")
    parser.add_argument("--out", default="match.html", help="the file (default match.html)")
    parser.add_argument("overrides", nargs="*", help="key=value, such as retriever.precision=bf16")
    return parser
