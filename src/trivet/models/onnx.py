"""Models as one ONNX graph (https://onnx.ai), from token ids and a mask to normalised vectors.

What the graph cannot hold, how a text becomes tokens on either side, stands in reading.json beside
it and the tokenizer. It runs wherever ONNX does, without Python too.
"""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trivet.core.errors import ConfigError
from trivet.models.colbert import ColBERT
from trivet.models.dense import Dense, Pooling
from trivet.models.layout import write_plain
from trivet.models.splade import SpladeModel
from trivet.models.tokens import Tokenizer

GRAPH = "model.onnx"
READING = "reading.json"
_OPSET = 17
_INPUTS = ("input_ids", "attention_mask")


class _DenseGraph(nn.Module):
    """(B, L) tokens to (B, D)."""

    def __init__(self, model: Dense) -> None:
        super().__init__()
        self.encoder, self.normalize = model.encoder, model.normalize
        self.pooling: Pooling = model.pooling

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden = _hidden(self.encoder, input_ids, attention_mask)
        pooled = _pool(hidden, attention_mask.bool(), self.pooling)
        return F.normalize(pooled, dim=-1) if self.normalize else pooled


class _ColbertGraph(nn.Module):
    """(B, L) tokens to (B, L, D): one vector for each, padding too."""

    def __init__(self, model: ColBERT) -> None:
        super().__init__()
        self.encoder, self.head = model.encoder, model.head

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return F.normalize(self.head(_hidden(self.encoder, input_ids, attention_mask)), dim=-1)


class _SpladeGraph(nn.Module):
    """(B, L) tokens to weights of terms, (B, V)."""

    def __init__(self, model: SpladeModel) -> None:
        super().__init__()
        self.encoder, self.last = model.encoder, model.last

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).logits
        logits = self.last(hidden).relu() * attention_mask[:, :, None]  # (B, L, V)
        return torch.log1p(logits.amax(1))


def save_onnx(model: Dense | ColBERT | SpladeModel, folder: Path) -> None:
    """Write the graph, the tokenizer and how to read a text; the folder must exist."""
    if isinstance(model, ColBERT):
        graph, out = _ColbertGraph(model), {0: "texts", 1: "tokens"}
    else:
        out = {0: "texts"}
        graph = _DenseGraph(model) if isinstance(model, Dense) else _SpladeGraph(model)
    graph = copy.deepcopy(graph).cpu().float().eval()
    graph.encoder.set_attn_implementation("eager")  # plain products, known to every runtime
    ids = torch.full((2, 5), model.tokenizer.pad)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    sizes = {name: {0: "texts", 1: "tokens"} for name in _INPUTS}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer's, on every branch that it passes
        torch.onnx.export(
            graph,
            (ids, mask),
            str(folder / GRAPH),
            input_names=list(_INPUTS),
            output_names=["vectors"],
            dynamic_axes={**sizes, "vectors": out},
            opset_version=_OPSET,
            dynamo=False,
        )
    model.tokenizer.inner.save_pretrained(folder)
    write_plain(folder / READING, _reading(model))


def check_onnx() -> None:
    """Refuse where the package that writes graphs is not installed."""
    try:
        import onnx  # noqa: F401  # pyright: ignore[reportMissingImports, reportUnusedImport]
    except ImportError as error:
        fix = "pip install 'trivet[onnx]'"
        raise ConfigError(f"needs onnx ({error})", where="--format onnx", fix=fix) from None


def _hidden(encoder: Any, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    return encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state


def _pool(hidden: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """(b, D) from token vectors (b, L, D) and the tokens that are there (b, L)."""
    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "last":
        last = mask.sum(1)[:, None, None] - 1  # (b, 1, 1)
        return hidden.gather(1, last.expand(-1, -1, hidden.shape[-1]))[:, 0]
    weights = mask.to(hidden.dtype) / mask.sum(1, keepdim=True)  # (b, L)
    return torch.einsum("bl,bld->bd", weights, hidden)


def _reading(model: Dense | ColBERT | SpladeModel) -> dict[str, Any]:
    late = isinstance(model, ColBERT)
    sides = {side: _side(model.tokenizer, side) for side in ("query", "document")}
    if late:
        sides["document"]["skip"] = model.skip
        if model.expansion != "none":
            sides["query"]["expand_to"] = model.tokenizer.total("query")
            sides["query"]["expansion"] = model.expansion_token
            sides["query"]["expansion_is_seen"] = model.expansion == "mask_attend"
    return {"one_vector": not late, "lower": model.tokenizer.lower, **sides}


def _side(tokenizer: Tokenizer, side: str) -> dict[str, Any]:
    marker = [tokenizer.markers[side]] if side in tokenizer.markers else []
    return {
        "prompt": tokenizer.prompts.get(side, ""),
        "length": tokenizer.total(side) - len(marker),
        "marker": marker,
        "skip": [],
        "expand_to": 0,
        "expansion": 0,
        "expansion_is_seen": False,
    }
