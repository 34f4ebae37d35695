"""An optimiser and its schedule, as a stage's config describes them."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from trivet.core.errors import ConfigError
from trivet.optim.adamw import OptimizerConfig


def optimizers(
    model: nn.Module, optim: OptimizerConfig, steps: int, stage: str
) -> tuple[Any, LambdaLR]:
    """Both, for so many steps; what is wrong with a config is told with its place in the stage."""
    try:
        optimizer = optim.make(model.named_parameters())
    except ConfigError as error:
        where = f"stages.{stage}.optim.{error.where}"
        raise ConfigError(error.what, where=where, fix=error.fix) from None
    return optimizer, LambdaLR(optimizer, lambda step: optim.schedule.factor(step, steps))
