# pyright: basic
"""A layer with a gate or a scale, which PyLate has not: such heads load there through this class.

PyLate finds it by the name that stands in a model's modules.json, so trivet must be installed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pylate.models import Dense
from safetensors.torch import load_file
from sentence_transformers.util import import_from_string
from torch import Tensor, nn

from trivet.core.files import read_json


class Gated(Dense):
    """PyLate's layer; gated it is W x times the activation of V x, scaled so is its residual."""

    def __init__(
        self, *args: Any, gated: bool = False, scaled: bool = False, **options: Any
    ) -> None:
        """As PyLate's, with a second map of the same size, and a number."""
        super().__init__(*args, **options)
        size = self.in_features, self.out_features
        self.gate = nn.Linear(*size, bias=self.bias) if gated else None
        self.scale = nn.Parameter(torch.ones(())) if scaled else None

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Replace the token embeddings by the layer's output."""
        hidden = features["token_embeddings"]
        out = self.linear(hidden)
        if self.gate is None:
            out = self.activation_function(out)
        else:
            out = out * self.activation_function(self.gate(hidden))
        if self.use_residual:
            added = self.residual(hidden) if hasattr(self, "residual") else hidden
            out = out + (added if self.scale is None else self.scale * added)
        features["token_embeddings"] = out
        return features

    @staticmethod
    def load(input_path: str) -> Gated:
        """Read a layer that trivet or PyLate wrote."""
        config = read_json(Path(input_path) / "config.json")
        config["activation_function"] = import_from_string(config["activation_function"])()
        model = Gated(**config)
        model.load_state_dict(load_file(Path(input_path) / "model.safetensors"))
        return model

    def get_config_dict(self) -> dict[str, Any]:
        """What config.json holds."""
        own = {"gated": self.gate is not None, "scaled": self.scale is not None}
        return {**super().get_config_dict(), **own}
