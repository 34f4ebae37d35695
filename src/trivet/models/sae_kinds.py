"""Which autoencoders there are, by the name that a checkpoint says."""

from __future__ import annotations

from typing import Any, Literal

from trivet.models.sae import TopK
from trivet.models.sae_batch_topk import BatchTopK
from trivet.models.sae_jump_relu import JumpReLU

Kind = Literal["topk", "batch_topk", "jump_relu"]


def empty(shape: dict[str, Any]) -> TopK:
    """An autoencoder of a `shape`, its weights to be filled in."""
    made = {"topk": TopK, "batch_topk": BatchTopK, "jump_relu": JumpReLU}[shape["kind"]]
    return made(int(shape["dim"]), int(shape["latents"]), int(shape["k"]))
