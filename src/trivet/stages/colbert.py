"""Stage 4, ColBERT: one vector a text becomes one vector a token.

The last stage of mxbai-edge-colbert-v0 (https://arxiv.org/abs/2510.14880): a new head,
markers for either side, and a reranker's scores over n-way tuples to learn from.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from trivet.core.artifact import Artifact
from trivet.core.errors import ArtifactError, ConfigError
from trivet.core.files import read_json
from trivet.core.ragged import Ragged
from trivet.core.run import Work
from trivet.core.seeds import derive
from trivet.data.mixture import Mixture
from trivet.data.table import Table
from trivet.models.colbert import ColBERT, Expansion, add_markers
from trivet.models.colbert_layout import load_colbert, save_colbert
from trivet.models.heads import Projection, one_map, refuse_beyond
from trivet.models.layout import load_dense
from trivet.models.lengths import read_longer, refuse_filling
from trivet.models.projections import FeedForward, TokenHead, draw
from trivet.optim.adamw import OptimizerConfig
from trivet.retrieval.learned import check_sides
from trivet.stages.clean import Clean
from trivet.stages.dev import Dev
from trivet.stages.in_batch import Texts, show
from trivet.stages.late import Bags, Term, judge, preparer
from trivet.stages.lineage import lineage
from trivet.stages.pair_check import check_texts, has_token, width
from trivet.stages.trained import needs_model, needs_rows, open_batches
from trivet.training.fit import fit
from trivet.training.settings import Fit

_PLAIN = "Set plain=false, or head.gated=false and head.scale=null"


@dataclass(kw_only=True)
class Colbert:
    """The config of the stage."""

    version: ClassVar[int] = 1

    data: Mixture
    """Tuples of a query, documents and a teacher's scores; or pairs, for contrast alone."""
    head: TokenHead | None
    """From hidden states to token vectors; null where the parent is a ColBERT model already."""
    losses: dict[str, Term | None]
    """What is minimised: the weighted sum, by any names; null leaves one out."""
    optim: OptimizerConfig
    """The optimiser and its schedule."""
    fit: Fit
    """Batch (rows), steps, precision, checkpoints."""
    ways: int | None = None
    """Documents of a row: the first, and others drawn by the seed; null is all."""
    lengths: dict[str, int] = field(default_factory=dict[str, int])
    """Content tokens of `query` and `document`; what is not given stays as the parent has it."""
    prompts: dict[str, str] = field(default_factory=dict[str, str])
    """What stands before a `query` and a `document`; what is not given stays."""
    markers: dict[str, str] | None = field(
        default_factory=lambda: {"query": "[Q] ", "document": "[D] "}
    )
    """A token of its own for each side, put after the first one; null is none, and of a ColBERT
    parent its own, which others than these cannot replace."""
    expansion: Expansion | None = None
    """Whether queries are filled up with mask tokens (`mask`), which others see (`mask_attend`);
    null stays as a ColBERT parent has it, and is none for a new one."""
    skip: Literal["none", "punctuation"] | list[str] | None = None
    """Document tokens that get no vector: none, punctuation, or a list; null as above."""
    plain: bool = True
    """Whether it must load in PyLate where trivet is not installed: one with gates, or a scale
    beside an activation, does not."""
    fold: bool = False
    """Whether a head of linear layers is saved as the one layer that they make together."""
    lower: bool | None = None
    """Whether texts are made lower case; null stays as the parent has it."""
    clean: Clean | None = None
    """Decontamination against the benches that will be reported."""
    dev: Dev | None = None
    """A dev bench to watch, and to stop early by."""
    seed: int = 0
    """Draws the head, the markers' embeddings, documents of a row, dropout; orders the data."""

    def __post_init__(self) -> None:
        """Sides that there are, losses that can be had, counts that compare something."""
        check_sides(self.lengths, self.prompts)
        if self.markers is not None and set(self.markers) != {"query", "document"}:
            raise ConfigError("give one of query and document each, or null", where="markers")
        for side, word in (self.markers or {}).items():
            if not word.strip():
                raise ConfigError("must not be blank", where=f"markers.{side}")
        if self.markers is not None and len(set(self.markers.values())) < 2:
            fix = "Give two, or null for none"
            raise ConfigError("both sides have the same one", where="markers", fix=fix)
        self.losses = {**self.terms}
        if not self.losses:
            raise ConfigError("at least one is needed", where="losses")
        taught = self._taught
        needs_rows(self.data, f"losses.{taught[0]}" if taught else None)
        alone = any(s.kind == "pairs" and not s.columns.negatives for s in self.data.sources)
        if alone and self.fit.batch < 2:
            raise ConfigError("pairs without negatives need at least 2 rows", where="fit.batch")
        if self.ways is not None and self.ways < 2:
            raise ConfigError("must be at least 2, or null for all", where="ways")
        if isinstance(self.head, FeedForward):  # what its config says of any encoder's
            if self.plain and self.head.gated:
                raise ConfigError("a head with gates is not", where="plain", fix=_PLAIN)
            if self.fold and (self.head.gated or self.head.activation != "identity"):
                fix = "Only heads of linear layers can be folded"
                raise ConfigError("the head is not linear", where="fold", fix=fix)

    @property
    def terms(self) -> dict[str, Term]:
        """The losses that are not left out."""
        return {name: term for name, term in self.losses.items() if term is not None}

    @property
    def _taught(self) -> list[str]:
        """The losses that need a teacher's scores."""
        return [name for name, term in self.terms.items() if term.taught]

    def accept(self, has_parent: bool) -> None:
        """There must be a model to turn."""
        needs_model(has_parent)

    def run(self, parent: Artifact | None, work: Work) -> Artifact:
        """Turn the model, clean the data, train, save."""
        if parent is None:
            raise ConfigError("a parent is required", where=work.stage)
        machine = work.run.machine
        model = self._model(parent.path)
        model.budget = machine.micro_tokens
        tables = [source.open(work.run.cache) for source in self.data.sources]
        self._check(tables, model)
        tables, report = self.clean(tables) if self.clean else (tables, None)
        batches = open_batches(self.data, tables, self.fit.batch, self.seed)
        show(batches[0], model)

        def loss(bags: Ragged, texts: Texts) -> Tensor:
            return judge(self.terms, bags, texts)

        trained = fit(
            Bags(model),
            batches,
            preparer(model, self.ways, derive(self.seed, "ways")),
            loss,
            optim=self.optim,
            settings=self.fit,
            seed=self.seed,
            work=work,
            check=self.dev.check(model, machine) if self.dev else None,
        )
        facts = lineage(parent, batches.tables, report) | {"seed": self.seed, "training": trained}
        if self.fold:
            model.head = nn.Sequential(one_map(_layers(model.head)))
        return work.save(lambda folder: save_colbert(model, folder), facts)

    def _model(self, folder: Path) -> ColBERT:
        """The parent as a ColBERT model, with this stage's settings."""
        if not (folder / "modules.json").is_file():
            what = "no modules.json: neither a dense nor a ColBERT model"
            raise ArtifactError(what, where=str(folder), fix="Take one that makes vectors")
        modules = cast("list[dict[str, Any]]", read_json(folder / "modules.json"))
        turned = any(str(module["type"]).endswith((".Dense", ".Gated")) for module in modules)
        if turned != (self.head is None):
            what = "is one vector a text" if self.head is None else "is a ColBERT model already"
            fix = "Choose a head" if self.head is None else "Set head=null to train it on"
            raise ConfigError(f"the parent {what}", where="head", fix=fix)
        model = self._kept(folder) if self.head is None else self._turned(folder)
        layers = _layers(model.head)
        if self.plain:
            refuse_beyond(layers, where="plain", fix=_PLAIN)
        if self.fold:
            one_map(layers)
        tokenizer = model.tokenizer
        tokenizer.prompts |= self.prompts
        if self.lower is not None:
            tokenizer.lower = self.lower
        read_longer(model, self.lengths)
        refuse_filling(tokenizer)
        return model

    def _kept(self, folder: Path) -> ColBERT:
        """A ColBERT parent, with what this stage says of it."""
        model = load_colbert(folder)
        inner = model.tokenizer.inner
        own = {
            side: str(inner.convert_ids_to_tokens(token))
            for side, token in model.tokenizer.markers.items()
        }
        if self.markers is not None and own != self.markers:
            what = f"the parent has {' and '.join(map(repr, own.values())) or 'none'}"
            raise ConfigError(what, where="markers", fix="Set markers=null to keep them")
        if self.expansion is not None:
            model.expansion = self.expansion
        if self.skip is not None:
            model.skip = self._skipped(inner)
        return model

    def _turned(self, folder: Path) -> ColBERT:
        assert self.head is not None
        dense = load_dense(folder)
        inner = dense.tokenizer.inner
        if self.markers is not None:
            with torch.random.fork_rng():
                torch.manual_seed(derive(self.seed, "markers"))
                dense.tokenizer.markers = add_markers(dense.encoder, inner, **self.markers)
        return ColBERT(
            dense.encoder,
            draw(self.head, dense.dim, derive(self.seed, "head")),
            dense.tokenizer,
            expansion=self.expansion or "none",
            skip=self._skipped(inner),
        )

    def _skipped(self, inner: Any) -> list[int]:
        """The tokens that get no vector, in order."""
        words = list(string.punctuation) if self.skip == "punctuation" else self.skip
        ids: list[int] = []
        for word in [] if words is None or words == "none" else words:
            ids.append(int(inner.convert_tokens_to_ids(word)))
            if ids[-1] == inner.unk_token_id:
                fix = "Give tokens of the vocabulary"
                raise ConfigError(f"{word!r} is no token of the model", where="skip", fix=fix)
        return sorted(set(ids))

    def _check(self, tables: list[Table], model: ColBERT) -> None:
        """Rows that the losses can use."""
        for table in tables:
            if width(table, self.ways) == 1 and (taught := self._taught):
                what = f"{table.name} has one document a query, which a teacher says nothing of"
                raise ConfigError(what, where=f"losses.{taught[0]}", fix="Score several")
            check_texts(table, model.empty, self._sure(model))

    def _sure(self, model: ColBERT) -> Callable[[str, str], bool]:
        """What tells that a text has a token that counts, without making tokens of it."""
        words = model.tokenizer.inner.convert_ids_to_tokens(model.skip)
        few = model.tokenizer.lengths["document"] // 4  # of so few characters all tokens are read
        only_signs = set(words) <= set(string.punctuation)

        def sure(text: str, side: str) -> bool:
            if side == "query" or not words:
                return has_token(text, side)
            return only_signs and has_token(text[:few], side)

        return sure


def _layers(head: nn.Sequential) -> list[Projection]:
    return [cast("Projection", layer) for layer in head]
