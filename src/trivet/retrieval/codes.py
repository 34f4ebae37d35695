"""Token vectors as they are stored: 32, 16, 8 bits a number or 1, packed into rows of an index.

int8 has a scale for each vector, two bytes: nothing need be known of the other documents, so shards
are packed one by one and a document added later changes none before it; a number is off by at most
half the vector's largest one over 127. binary keeps the signs, and the query stays whole (Yamada et
al., https://arxiv.org/abs/2106.00882).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

Code = Literal["float32", "float16", "int8", "binary"]
_SCALE = 2  # bytes
_LEAST = torch.finfo(torch.float16).tiny  # a vector of zeros needs a scale, too


def code_bytes(dim: int, code: Code) -> int:
    """What one vector takes."""
    sizes = {"float32": 4 * dim, "float16": 2 * dim, "int8": dim + _SCALE, "binary": -(-dim // 8)}
    return sizes[code]


def to_codes(vectors: Tensor, code: Code) -> Tensor:
    """(T, D) vectors as they are stored: floats, or (T, bytes) uint8."""
    if code == "float32":
        return vectors.float()
    if code == "float16":
        return vectors.half()
    if code == "binary":
        return signs_packed(vectors)
    scale = (vectors.float().abs().amax(1, keepdim=True) / 127).clamp(min=_LEAST).half()  # (T, 1)
    numbers = (vectors / scale.float()).round().clamp(-127, 127).to(torch.int8)
    return torch.cat([numbers.view(torch.uint8), scale.view(torch.uint8)], dim=1)


def from_codes(codes: Tensor, code: Code, dim: int) -> Tensor:
    """What a query is compared with, (T, D) fp32."""
    if code == "binary":
        return signs_unpacked(codes, dim)
    if code == "int8":
        scale = codes[:, dim:].contiguous().view(torch.float16)  # (T, 1)
        return codes[:, :dim].view(torch.int8).float() * scale.float()
    return codes.float()


def signs_packed(vectors: Tensor) -> Tensor:
    """Which numbers are above 0, 8 a byte."""
    return torch.from_numpy(np.packbits((vectors > 0).numpy(), axis=1))


def signs_unpacked(codes: Tensor, dim: int) -> Tensor:
    """Signs as +1 and -1, (n, D)."""
    bits = np.unpackbits(codes.numpy(), axis=1, count=dim)
    return torch.from_numpy(bits).float() * 2 - 1
