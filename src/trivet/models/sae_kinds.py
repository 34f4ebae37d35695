"""Which autoencoders there are, by the name that a checkpoint says."""

from __future__ import annotations

from typing import Any, Literal

from trivet.core.errors import ConfigError
from trivet.models.sae import TopK
from trivet.models.sae_batch_topk import BatchTopK
from trivet.models.sae_jump_relu import JumpReLU

Kind = Literal["topk", "batch_topk", "jump_relu"]


def empty(shape: dict[str, Any]) -> TopK:
    """An autoencoder of a `shape`, its weights to be filled in."""
    known = {"topk": TopK, "batch_topk": BatchTopK, "jump_relu": JumpReLU}
    if shape["kind"] not in known:
        raise ConfigError(
            f"there is no {shape['kind']}", where="kind", fix=f"There is: {', '.join(known)}"
        )
    made = known[shape["kind"]]
    return made(int(shape["dim"]), int(shape["latents"]), int(shape["k"]))
