"""Averaging: several models of one shape, or several steps of one run, become one model.

"Model soups" (https://arxiv.org/abs/2203.05482) and stochastic weight averaging
(https://arxiv.org/abs/1803.05407). Nothing is trained: the stage reads weights and writes their
mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from trivet.core.artifact import Artifact
from trivet.core.errors import ConfigError
from trivet.core.run import Work
from trivet.core.schema import unkeyed
from trivet.models.averaging import average, fingerprint
from trivet.retrieval.learned import identity


@dataclass(kw_only=True)
class Average:
    """The config of the stage."""

    version: ClassVar[int] = 1
    fit: ClassVar[None] = None

    models: list[str] = unkeyed()
    """Folders: artifacts, any models in sentence-transformers layout, or checkpoints of a dense
    model's training (step-…). A parent counts as one more, the first."""
    weights: list[float] = field(default_factory=list[float])
    """What each counts, the parent's first; none given is all the same."""
    seed: int = 0
    """Nothing is drawn here; every stage has a seed."""

    def __post_init__(self) -> None:
        """Weights that count."""
        if any(not math.isfinite(weight) or weight <= 0 for weight in self.weights):
            raise ConfigError("must be above 0", where="weights", fix="Leave that model out")

    def fingerprint(self) -> list[dict[str, str]]:
        """What the models hold, wherever they lie."""
        return [fingerprint(folder) for folder in self._folders()]

    def accept(self, has_parent: bool) -> None:
        """There must be two models, and a weight for each or none."""
        count = len(self.models) + has_parent
        if count < 2:
            fix = "Name at least two, or one beside a parent"
            raise ConfigError("one model has no average", where="models", fix=fix)
        if self.weights and len(self.weights) != count:
            parent = " (the parent is one)" if has_parent else ""
            what = f"{len(self.weights)} weights for {count} models{parent}"
            raise ConfigError(what, where="weights", fix="Give one for each, or none")

    def run(self, parent: Artifact | None, work: Work) -> Artifact:
        """Average and save."""
        self.accept(parent is not None)
        folders = [parent.path] if parent else []
        folders += self._folders()
        weights = self.weights or [1.0] * len(folders)
        known = [identity(folder) for folder in folders]
        return work.save(
            lambda folder: average(folders, weights, folder), _pedigree(known, weights)
        )

    def _folders(self) -> list[Path]:
        return [Path(model).expanduser() for model in self.models]


def _pedigree(known: list[dict[str, Any]], weights: list[float]) -> dict[str, Any]:
    """What the mean was trained on: all that its parts were, unknown where one of them is."""
    names = [facts["trained_on"] for facts in known]
    seeds = {facts.get("train_seed") for facts in known}
    return {
        "seed": seeds.pop() if len(seeds) == 1 else None,
        "trained_on": None if None in names else sorted({name for some in names for name in some}),
        "in_domain": sorted({task for facts in known for task in facts["in_domain"]}),
        "averaged": [
            {"model_key": facts["model_key"], "weight": weight}
            for facts, weight in zip(known, weights, strict=True)
        ],
    }
