"""Stage 1, contrastive pretraining: query and document of a pair find each other in the batch.

The first stage of mxbai-edge-colbert-v0 (https://arxiv.org/abs/2510.14880, tables 1 and 2):
in-batch InfoNCE on very many pairs in very large batches, every batch from one source,
sources one after another by default.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from trivet.losses.infonce import InfoNCE
from trivet.stages.contrastive import Contrastive


@dataclass(kw_only=True)
class Pretrain(Contrastive):
    """The config of the stage."""

    version: ClassVar[int] = 2

    loss: InfoNCE = field(default_factory=InfoNCE)  # pyright: ignore[reportIncompatibleVariableOverride]
    """In-batch contrast."""
