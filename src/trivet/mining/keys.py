"""What decides the result of mining: settings, data, and models by their weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from trivet.core.schema import content
from trivet.retrieval.learned import identity, model_folder


def recipe(value: Any) -> Any:
    """`content`, where a model is named by its key and not by the place it was read from."""
    return _by_weights(content(value))


def _by_weights(node: Any) -> Any:
    if isinstance(node, list):
        return [_by_weights(item) for item in cast("list[Any]", node)]
    if not isinstance(node, Mapping):
        return node
    out = {name: _by_weights(item) for name, item in cast("Mapping[str, Any]", node).items()}
    if isinstance(out.get("model"), str) and "revision" in out:
        folder = model_folder(out["model"], out.pop("revision"))
        out["model"] = identity(folder)["model_key"]
    return out
