"""The whole of `trivet sae inspect`: a task's documents indexed, and latents looked at in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from trivet.bench.bench import Bench
from trivet.bench.task import Task
from trivet.core.errors import ConfigError, DataError
from trivet.core.machine import Machine
from trivet.core.progress import Progress
from trivet.core.records import Corpus
from trivet.report.latent_decisive import Scores
from trivet.report.latent_feature import Feature, feature
from trivet.report.latent_judge import Judge
from trivet.report.latent_kind import Rule
from trivet.report.latent_look import Look, sample
from trivet.report.latent_pair import Pair, pair
from trivet.report.latent_scan import scan
from trivet.retrieval.cache import Cache
from trivet.retrieval.latent import Latent
from trivet.retrieval.postings import Postings

_LETTERS = 90  # of a sentence, on either side of a token


@dataclass(kw_only=True)
class Inspection:
    """The config of `trivet sae inspect` and `trivet sae explore`."""

    bench: Bench
    """A bench with one task: its documents are looked at."""
    retriever: Latent
    """The model, and how its latents are weighed."""
    look: Look = field(default_factory=Look)
    """How closely."""
    rule: Rule = field(default_factory=Rule)
    """What makes a latent lexical, narrow or broad."""
    judge: Judge | None = None
    """A language model that is asked the same."""
    machine: Machine = field(default_factory=Machine)
    """Where it runs."""
    cache: Cache = field(default_factory=Cache)
    """Where vectors are kept; the retriever refers to it."""

    def __post_init__(self) -> None:
        """One corpus."""
        if len(self.bench.tasks) != 1:
            what, fix = f"{len(self.bench.tasks)} tasks in the bench", "Choose one with --tasks"
            raise ConfigError(what, where="--bench", fix=fix)

    def open(self, more: Sequence[str] = ()) -> Task:
        """Index the task's documents, and some texts with them, called typed-1 and on."""
        task = self.bench.tasks[0].load()
        self.retriever.adapt(task.lengths, task.prompts)
        if more:
            old, names = task.corpus, [f"typed-{i}" for i in range(1, len(more) + 1)]
            corpus = Corpus(
                [*old.ids, *names], [*old.titles, *[""] * len(more)], [*old.texts, *more]
            )
            task = replace(task, corpus=corpus)
        self.retriever.index(task.corpus)
        if not len(self.postings.rows):
            fix = "Look at how the autoencoder was trained"
            raise DataError("no document holds any latent", where=self.retriever.model, fix=fix)
        return task

    @property
    def postings(self) -> Postings:
        """The latents of all documents."""
        return self.retriever.documents()

    def features(
        self, task: Task, latents: Sequence[int], *, decisive: bool = True, letters: int = _LETTERS
    ) -> list[Feature]:
        """The cards of some latents, in their order."""
        texts = task.corpus.contents()
        drawn = sample(self.postings, len(texts), latents, self.look)
        model = self.retriever.load().to(self.machine.resolve()).eval()
        scanned = scan(model, texts, drawn, self.look)
        scores = Scores(self.retriever, task, self.look) if decisive and latents else None
        found: list[Feature] = []
        with Progress("latents", len(latents), "latent") as progress:
            for latent in latents:
                one = feature(
                    model,
                    task.corpus.ids,
                    texts,
                    scanned,
                    latent,
                    int(self.postings.frequencies[latent]),
                    look=self.look,
                    rule=self.rule,
                    decisive=scores.decisive(latent, self.look.decisive) if scores else [],
                    letters=letters,
                )
                judged = self.judge.kind(one) if self.judge else None
                found.append(replace(one, judged=judged))
                progress.add()
        return found

    def pair(self, task: Task, query: str, document: str) -> Pair:
        """Why a document has the score it has for a query, an id of the task or a text."""
        return pair(self.retriever, task.corpus, task.queries.get(query, query), document)
