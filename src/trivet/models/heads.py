"""What turns hidden states into token vectors: one projection, or several on top of each other.

Layouts as PyLate stores them: each layer is a folder with a linear map, an activation and perhaps a
residual connection. Clavié et al., "Simple Projection Variants Improve ColBERT Performance",
https://arxiv.org/abs/2510.12327.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from trivet.core.errors import ArtifactError, ConfigError, nearest
from trivet.core.files import read_json, write_json

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "torch.nn.modules.linear.Identity": nn.Identity,
    "torch.nn.modules.activation.GELU": nn.GELU,
    "torch.nn.modules.activation.ReLU": nn.ReLU,
    "torch.nn.modules.activation.SiLU": nn.SiLU,
    "torch.nn.modules.activation.Sigmoid": nn.Sigmoid,
    "torch.nn.modules.activation.Tanh": nn.Tanh,
}


class Projection(nn.Module):
    """A linear map, an activation, and the input added where `residual` says so.

    With a gate the activation is of a second map, which the first is multiplied by (GLU, Shazeer,
    https://arxiv.org/abs/2002.05202).
    """

    def __init__(
        self,
        inner: int,
        outer: int,
        *,
        bias: bool = False,
        activation: nn.Module | None = None,
        residual: bool = False,
        gated: bool = False,
        scale: float | None = None,
        dropout: float = 0.0,
    ) -> None:
        """From `inner` to `outer` dimensions; a residual of another size is mapped, too.

        `scale`: what the residual is multiplied by at first; learned. None multiplies nothing.
        """
        super().__init__()
        self.linear = nn.Linear(inner, outer, bias=bias)
        self.gate = nn.Linear(inner, outer, bias=bias) if gated else None
        self.activation = activation or nn.Identity()
        self.has_residual = residual
        self.residual = nn.Linear(inner, outer, bias=False) if residual and inner != outer else None
        self.scale = None if scale is None or not residual else nn.Parameter(torch.tensor(scale))
        self.dropout = nn.Dropout(dropout)

    @property
    def beyond(self) -> str:
        """What of it PyLate's own layer cannot express: nothing, gates, or a scale."""
        if self.gate is not None:
            return "gates"
        curved = not isinstance(self.activation, nn.Identity)
        if self.scale is not None and self.residual is None and curved:
            return f"a scaled residual beside {type(self.activation).__name__}"
        return ""

    def forward(self, hidden: Tensor) -> Tensor:
        """(…, inner) to (…, outer)."""
        out = self.linear(hidden)
        out = (
            self.activation(out) if self.gate is None else out * self.activation(self.gate(hidden))
        )
        out = self.dropout(out)
        if not self.has_residual:
            return out
        added = hidden if self.residual is None else self.residual(hidden)
        return out + (added if self.scale is None else self.scale * added)


def load_projection(folder: Path) -> Projection:
    """Read one layer that PyLate or trivet wrote."""
    from safetensors.torch import load_file

    weights = folder / "model.safetensors"
    for path in (folder / "config.json", weights):
        if not path.is_file():
            fix = "A head lacks a part: get the model again"
            raise ArtifactError(f"no {path.name}", where=str(folder), fix=fix)
    config = cast("dict[str, Any]", read_json(folder / "config.json"))
    name = str(config.get("activation_function", "torch.nn.modules.linear.Identity"))
    if name not in _ACTIVATIONS:
        what = f"unknown activation {name}"
        raise ArtifactError(what, where=str(folder), fix=nearest(name, _ACTIVATIONS))
    made = Projection(
        int(config["in_features"]),
        int(config["out_features"]),
        bias=bool(config.get("bias", True)),
        activation=_ACTIVATIONS[name](),
        residual=bool(config.get("use_residual", False)),
        gated=bool(config.get("gated", False)),
        scale=1.0 if config.get("scaled") else None,
    )
    try:
        made.load_state_dict(load_file(weights))
    except Exception as error:  # torch and safetensors raise classes of their own
        reason = " ".join(str(error).split())[:200]
        raise ArtifactError(f"its weights do not fit ({reason})", where=str(folder)) from None
    return made


def folded(layer: Projection) -> dict[str, Tensor]:
    """A layer's weights without a scale of their own: it goes into the residual's map.

    A residual that is the input itself has none; there it goes into the linear map, where nothing
    but the sum comes out of the layer, and else it stays.
    """
    state = {name: tensor.detach().cpu() for name, tensor in layer.state_dict().items()}
    scale = state.get("scale")
    if scale is None:
        return state
    if layer.residual is not None:
        state["residual.weight"] = state["residual.weight"] * scale
    elif isinstance(layer.activation, nn.Identity) and layer.gate is None:
        weight = state["linear.weight"]
        state["linear.weight"] = weight + (scale - 1) * torch.eye(len(weight), dtype=weight.dtype)
    else:
        return state
    del state["scale"]
    return state


def one_map(layers: Sequence[Projection]) -> Projection:
    """Linear layers on top of each other as the one linear layer that they are."""
    weight = torch.eye(layers[0].linear.in_features, dtype=torch.float64)
    bias: Tensor | None = None
    for layer in layers:
        if not isinstance(layer.activation, nn.Identity) or layer.gate is not None:
            nature = "a gate" if layer.gate is not None else type(layer.activation).__name__
            what = f"a layer with {nature} is not linear"
            raise ConfigError(what, where="head", fix="Only heads of linear layers can be folded")
        state = {name: tensor.double() for name, tensor in folded(layer).items()}
        own = state["linear.weight"]
        if layer.has_residual:
            own = own + state.get("residual.weight", torch.eye(len(own), dtype=own.dtype))
        weight = own @ weight
        if bias is not None or "linear.bias" in state:
            passed = own.new_zeros(len(own)) if bias is None else own @ bias
            bias = passed + state.get("linear.bias", own.new_zeros(len(own)))
    made = Projection(weight.shape[1], weight.shape[0], bias=bias is not None)
    found = {"linear.weight": weight} | ({} if bias is None else {"linear.bias": bias})
    made.load_state_dict({name: tensor.float() for name, tensor in found.items()})
    return made


def save_projection(layer: Projection, folder: Path) -> None:
    """Write one layer into a folder that exists."""
    from safetensors.torch import save_file

    kinds = {kind: name for name, kind in _ACTIVATIONS.items()}
    linear = layer.linear
    state = {name: tensor.contiguous() for name, tensor in folded(layer).items()}
    write_json(
        folder / "config.json",
        {
            "in_features": linear.in_features,
            "out_features": linear.out_features,
            "bias": "bias" in dict(linear.named_parameters()),
            "activation_function": kinds[type(layer.activation)],
            "use_residual": layer.has_residual,
            **({"gated": True} if layer.gate is not None else {}),
            **({"scaled": True} if "scale" in state else {}),
        },
    )
    save_file(state, folder / "model.safetensors")


def refuse_beyond(layers: Sequence[Projection], *, where: str, fix: str) -> None:
    """Refuse a head that other libraries' layers cannot express."""
    for layer in layers:
        if layer.beyond:
            what = f"a head with {layer.beyond} loads in PyLate only where trivet is installed"
            raise ConfigError(what, where=where, fix=fix)
