# pyright: basic
"""A gated layer for PyLate, which has none: models with gated heads load there through this class.

PyLate finds it by the name that stands in a model's modules.json, so trivet must be installed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pylate.models import Dense
from safetensors.torch import load_file
from sentence_transformers.util import import_from_string
from torch import Tensor, nn

from trivet.core.files import read_json


class Gated(Dense):
    """PyLate's layer with a gate: W x times the activation of V x, and the residual."""

    def __init__(self, *args: Any, gated: bool = True, **options: Any) -> None:
        """As PyLate's, with a second map of the same size."""
        super().__init__(*args, **options)
        self.gate = nn.Linear(self.in_features, self.out_features, bias=self.bias)

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Replace the token embeddings by the layer's output."""
        hidden = features["token_embeddings"]
        out = self.linear(hidden) * self.activation_function(self.gate(hidden))
        if self.use_residual:
            out = out + (self.residual(hidden) if hasattr(self, "residual") else hidden)
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
        return {**super().get_config_dict(), "gated": True}
