"""The attention that is fastest where it runs, over texts that are filled up or lie end to end.

In bf16 on a CPU torch's fused attention has a slow backward pass, and with dropout a CPU has none:
plain batched products are faster there until the score matrix outgrows the caches; otherwise, and
on a GPU, the fused one wins.
Registered with transformers under one name, so any encoder that uses its attention interface
gets it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "trivet"
LONGEST_PLAIN = 512


def attention(
    module: nn.Module,
    query: Tensor,  # (B, H, L, D)
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # (B, 1, L, L), true where attended
    scaling: float | None = None,
    dropout: float = 0.0,
    packing: Any = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Plain products for short texts trained on a CPU in bf16 or with dropout, else the fused ones.

    With `packing`, B is 1 and texts lie end to end: each attends to itself alone.
    """
    if packing is not None:
        window = options.pop("sliding_window", None)

        def within(query: Tensor, key: Tensor, value: Tensor, keys: Tensor | None) -> Tensor:
            mask = _windowed(keys, query, window)
            return attention(module, query, key, value, mask, scaling, dropout, **options)[0]

        return packing.attend(query, key, value, within), None
    short = query.shape[2] <= LONGEST_PLAIN and query.shape[1] == key.shape[1]
    low = query.dtype == torch.bfloat16 and torch.is_grad_enabled()
    slow = query.device.type == "cpu" and (low or dropout > 0)
    causal = attention_mask is None and bool(getattr(module, "is_causal", False))
    if causal or not (slow and short):
        out, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
        return out, None
    return plain(module, query, key, value, attention_mask, scaling, dropout), None


def _windowed(keys: Tensor | None, query: Tensor, window: int | None) -> Tensor | None:
    """Which tokens see which, (B, 1, L, L): keys that count, and no further than a window."""
    length = query.shape[2]
    if window is None or length <= window:
        return None if keys is None else keys.expand(-1, -1, length, -1)
    places = torch.arange(length, device=query.device)
    near = (places[:, None] - places).abs() < window  # transformers counts the token itself
    return near[None, None] if keys is None else near & keys


def plain(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None,
    dropout: float,
) -> Tensor:
    """softmax(q k) v as two batched products, (B, L, H, D)."""
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    scores = torch.matmul(query * scale, key.transpose(2, 3))  # (B, H, L, L)
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    weights = torch.softmax(scores, dim=-1).to(value.dtype)
    if dropout > 0:
        weights = nn.functional.dropout(weights, p=dropout, training=module.training)
    return torch.matmul(weights, value).transpose(1, 2).contiguous()


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
