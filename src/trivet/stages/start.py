"""Stage 0, the start: a backbone as it is, pooled into one vector a text, untrained.

What every recipe begins from, and a baseline that can be evaluated like any other model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from trivet.core.artifact import Artifact
from trivet.core.errors import ConfigError
from trivet.core.run import Work
from trivet.models.backbone import Backbone
from trivet.models.dense import Dense, Pooling
from trivet.models.layout import position_limit, save_dense
from trivet.models.tokens import Tokenizer


@dataclass
class Prompts:
    """A text for each side."""

    query: str = ""
    """Stands before every query."""
    document: str = ""
    """Stands before every document."""


@dataclass
class Lengths:
    """Content tokens for each side; prompts and special tokens come on top."""

    query: int = 126
    """Longer queries are cut."""
    document: int = 126
    """Longer documents are cut."""


@dataclass(kw_only=True)
class Start:
    """The config of the stage."""

    version: ClassVar[int] = 1
    fit: ClassVar[None] = None

    backbone: Backbone
    """Where the encoder comes from."""
    pooling: Pooling = "mean"
    """How token vectors become one."""
    lengths: Lengths = field(default_factory=Lengths)
    """Content tokens of each side."""
    prompts: Prompts = field(default_factory=Prompts)
    """Prompts of each side."""
    seed: int = 0
    """Nothing is drawn here; every stage has a seed."""

    def accept(self, has_parent: bool) -> None:
        """A start has nothing before it."""
        if has_parent:
            raise ConfigError("a start takes no parent", fix="Put it first, or leave it out")

    def run(self, parent: Artifact | None, work: Work) -> Artifact:
        """Load the encoder and save it as a dense model."""
        encoder, inner = self.backbone.load()
        prompts = {"query": self.prompts.query, "document": self.prompts.document}
        lengths = {"query": self.lengths.query, "document": self.lengths.document}
        limit = position_limit(encoder)
        tokenizer = Tokenizer(inner, prompts=prompts, lengths=lengths, limit=limit)
        for side, length in lengths.items():
            if length < 1 or tokenizer.total(side) - tokenizer.specials < length:
                raise ConfigError(
                    f"{length} content tokens do not fit the encoder's {limit} positions",
                    where=f"lengths.{side}",
                    fix=f"Between 1 and {limit - tokenizer.specials}, less the prompt",
                )
        model = Dense(encoder, tokenizer, pooling=self.pooling)
        facts = {"seed": None, "trained_on": [], "in_domain": []}
        return work.save(lambda folder: save_dense(model, folder), facts)
