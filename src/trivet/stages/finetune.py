"""Stage 2, fine-tuning: fewer pairs of better quality, with negatives that are hard to tell apart.

The second stage of mxbai-edge-colbert-v0 (https://arxiv.org/abs/2510.14880, table 3): negatives
mined by a strong model (`trivet mine`), AnglE's loss. InfoNCE with hard negatives and, for scored
pairs, CoSENT are the other choices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from trivet.core.errors import ConfigError
from trivet.losses.angle import Angle
from trivet.stages.contrastive import Contrastive


@dataclass(kw_only=True)
class Finetune(Contrastive):
    """The config of the stage."""

    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Cross-field rules."""
        super().__post_init__()
        if not isinstance(self.loss, Angle):
            return
        wants = [name for name in ("cln_w", "angle_w", "cosine_w") if getattr(self.loss, name)]
        for source in self.data.sources:
            if wants and not source.columns.negatives:
                fix = f"Map columns.negatives, or set {' and '.join(wants)} to 0"
                raise ConfigError(f"{source.name} has no negatives", where="loss", fix=fix)
