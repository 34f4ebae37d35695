"""`trivet sae explore`: the latents of a model as one HTML page."""

from __future__ import annotations

import argparse
from pathlib import Path

from trivet.cli.sae_inspect import opened, shared
from trivet.core.errors import ConfigError

_LATENTS = 4096
_LETTERS = 60  # of a sentence, on either side of a token


def run(argv: list[str]) -> int:
    """Index, look at the latents, draw the curves, write the page, say where it is."""
    flags = _parser().parse_intermixed_args(argv)
    if flags.latents < 1:
        raise ConfigError("must be at least 1", where="--latents")
    flags.overrides = ["look.decisive=1", *flags.overrides]  # one a card; a user's own word wins
    inspection = opened(flags)

    from trivet.core.files import write_bytes
    from trivet.report.latent_curves import of_postings, of_splade, of_words
    from trivet.report.latent_look import drawn
    from trivet.report.latent_page import Facts, page
    from trivet.report.latent_text import told_line

    task = inspection.open()
    postings, count = inspection.postings, len(task.corpus)
    features = inspection.features(
        task, drawn(postings, flags.latents, flags.seed), letters=_LETTERS
    )
    curves = [of_postings("latents", postings, count, flags.seed)]
    curves.append(of_words(task.corpus.contents(), flags.seed))
    if flags.splade:
        from trivet.retrieval.splade import Splade

        other = Splade(flags.splade, cache=inspection.cache, machine=inspection.machine)
        other.adapt(task.lengths, task.prompts)
        curves.append(of_splade(other, task.corpus, flags.seed))
    tokenizer = inspection.retriever.load().tokenizer
    facts = Facts(
        model=Path(flags.model).name or flags.model,
        task=task.name,
        documents=count,
        latents=len(postings.frequencies),
        alive=int((postings.frequencies > 0).sum()),
        seed=flags.seed,
        rule=inspection.rule.said,
        read=f"Written by trivet sae explore. The model reads {tokenizer.lengths['document']} "
        f"tokens of a document; a latent is looked at in {inspection.look.documents} of the "
        "documents that hold it, at most. Contexts are its strongest, and some drawn by the seed. "
        "This file needs no network and no other file.",
    )
    out = Path(flags.out).expanduser()
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, page(features, curves, facts).encode("utf-8", "replace"))
    for curve in curves:
        print(f"{curve.name}: {len(curve.frequencies):,} terms, {curve.said}")
    print(told_line(features))
    print(out)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = shared(
        "trivet sae explore",
        "Write the latents of a model as one HTML page that needs no network: search, Zipf's law "
        "beside the words of the documents, kinds of latents, a card for each.",
    )
    parser.add_argument(
        "--latents", type=int, default=_LATENTS, help=f"most cards, drawn (default {_LATENTS})"
    )
    parser.add_argument("--splade", help="a SPLADE model whose terms are drawn, too")
    parser.add_argument("--out", default="latents.html", help="the file (default latents.html)")
    parser.add_argument("overrides", nargs="*", help="key=value, such as look.contexts=8")
    return parser
