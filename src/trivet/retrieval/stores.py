"""How vectors are held: 32 bits a number, 8, or 1; each searched exactly as held.

int8 maps each dimension's range among the documents to 256 steps. binary keeps the signs, finds
candidates by them, and rescores these with the whole query (Yamada et al., "Efficient Passage
Retrieval with Hashing", https://arxiv.org/abs/2106.00882).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from trivet.core.errors import TrivetError
from trivet.core.inner import inner
from trivet.retrieval.codes import signs_packed, signs_unpacked
from trivet.retrieval.topk import Found, merge, topk
from trivet.retrieval.vectors import Vectors

Kind = Literal["float32", "int8", "binary"]
Rescore = Literal["none", "binary", "int8"]
Order = NDArray[np.int64]
_BLOCK = 65536  # documents scored at once


class Store(Protocol):
    """Documents that can be searched."""

    def search(self, queries: Tensor, k: int, order: Order) -> Found:
        """The best k documents of each query, (Q, D)."""
        ...


class Float32:
    """Every number in 32 bits; shards are read one after the other."""

    def __init__(
        self,
        vectors: Vectors,
        shorten: Callable[[Tensor], Tensor],
        scores: int,
        device: str = "cpu",
    ) -> None:
        """`scores`: how many are held at once, on which device."""
        self.vectors, self.shorten, self.scores, self.device = vectors, shorten, scores, device

    def search(self, queries: Tensor, k: int, order: Order) -> Found:
        """Inner products with every document, in fp32."""

        def blocks() -> Iterator[tuple[Order, Callable[[Tensor], Tensor]]]:
            for rows, vectors in self.vectors.blocks(_BLOCK):
                short = self.shorten(vectors).to(self.device)
                yield rows.numpy(), lambda part, short=short: inner(part, short)

        return _best(queries.to(self.device), blocks(), k, order, self.scores)


class Int8:
    """Every number in 8 bits, scaled by its dimension."""

    def __init__(
        self,
        vectors: Vectors,
        shorten: Callable[[Tensor], Tensor],
        scores: int,
        device: str = "cpu",
    ) -> None:
        """Two passes: the range of each dimension, then the codes."""
        lows, highs = [], []
        for _, block in vectors.blocks(_BLOCK):
            short = shorten(block)
            lows.append(short.amin(0))
            highs.append(short.amax(0))
        self.low = torch.stack(lows).amin(0)  # (D,)
        self.step = ((torch.stack(highs).amax(0) - self.low) / 255).clamp(min=1e-12)
        self.codes = _filled(vectors, lambda block: self._encode(shorten(block)))  # (N, D) uint8
        self.scores, self.device = scores, device

    def _encode(self, vectors: Tensor) -> Tensor:
        return ((vectors - self.low) / self.step).round().clamp(0, 255).to(torch.uint8)

    def search(self, queries: Tensor, k: int, order: Order) -> Found:
        """The whole query with every document's codes."""
        scaled, base = queries * self.step, queries @ self.low
        both = torch.cat([scaled, base[:, None]], dim=1)  # (Q, D + 1)

        def blocks() -> Iterator[tuple[Order, Callable[[Tensor], Tensor]]]:
            for rows, codes in _cut(self.codes):
                floats = codes.to(self.device).float()
                yield rows, lambda part, floats=floats: part[:, :-1] @ floats.T + part[:, -1:]

        return _best(both.to(self.device), blocks(), k, order, self.scores)

    def rescore(self, queries: Tensor, rows: Tensor) -> Tensor:
        """(Q, D) with each query's own (Q, C) documents."""
        vectors = self.codes[rows].float() * self.step + self.low  # (Q, C, D)
        return torch.einsum("qd,qcd->qc", queries, vectors)


class Binary:
    """The sign of every number, 8 a byte."""

    def __init__(
        self,
        vectors: Vectors,
        shorten: Callable[[Tensor], Tensor],
        scores: int,
        device: str = "cpu",
        *,
        oversample: int,
        rescore: Rescore,
    ) -> None:
        """`oversample`: candidates for each document that is wanted."""
        self.codes = _filled(
            vectors, lambda block: signs_packed(shorten(block))
        )  # (N, D / 8) uint8
        self.scores, self.device, self.oversample, self.how = scores, device, oversample, rescore
        self.fine = Int8(vectors, shorten, scores, device) if rescore == "int8" else None

    def search(self, queries: Tensor, k: int, order: Order) -> Found:
        """Candidates by the number of equal signs, then the query itself with the candidates."""
        dim = queries.shape[1]

        def blocks() -> Iterator[tuple[Order, Callable[[Tensor], Tensor]]]:
            for rows, codes in _cut(self.codes):
                signs = signs_unpacked(codes, dim).to(self.device)
                yield rows, lambda part, signs=signs: inner(part, signs)

        signs = torch.where(queries > 0, 1.0, -1.0).to(self.device)
        if self.how == "none":
            return _best(signs, blocks(), k, order, self.scores)
        rows, _ = _best(signs, blocks(), k * self.oversample, order, self.scores)
        best: list[Found] = []
        step = max(1, self.scores // max(1, rows.shape[1] * dim))
        for start in range(0, len(rows), step):
            part = torch.from_numpy(rows[start : start + step])
            asked = queries[start : start + step]
            if self.fine is not None:
                found = self.fine.rescore(asked, part)
            else:
                vectors = signs_unpacked(self.codes[part].flatten(0, 1), dim).view(*part.shape, dim)
                found = torch.einsum("qd,qcd->qc", asked, vectors)
            by = np.lexsort((-order[part.numpy()], -found.numpy()), axis=1)[:, :k]
            best.append(
                (
                    np.take_along_axis(part.numpy(), by, axis=1),
                    np.take_along_axis(found.numpy(), by, axis=1),
                )
            )
        return np.concatenate([rows for rows, _ in best]), np.concatenate([s for _, s in best])


def bytes_per_vector(dim: int, kind: Kind, rescore: Rescore) -> int:
    """What one document takes."""
    if kind == "binary":
        return -(-dim // 8) + (dim if rescore == "int8" else 0)
    return dim if kind == "int8" else 4 * dim


def shortened(vectors: Tensor, dim: int | None, normalize: bool) -> Tensor:
    """The first dimensions of each vector (Kusupati et al., https://arxiv.org/abs/2205.13147)."""
    if dim is None or dim == vectors.shape[1]:
        return vectors
    return F.normalize(vectors[:, :dim], dim=-1) if normalize else vectors[:, :dim].contiguous()


def _best(
    queries: Tensor,
    blocks: Iterator[tuple[Order, Callable[[Tensor], Tensor]]],
    k: int,
    order: Order,
    scores: int,
) -> Found:
    """The best k over all blocks; `scores` bounds how many scores are held at once."""
    parts = queries.split(max(1, scores // _BLOCK))
    best: list[Found | None] = [None] * len(parts)
    for rows, score in blocks:
        for i, part in enumerate(parts):
            places, values = topk(score(part), k, order[rows])
            best[i] = _merged(best[i], (rows[places], values), k, order)
    found = [part for part in best if part is not None]
    if not found:
        raise TrivetError("the corpus is empty")
    return np.concatenate([part[0] for part in found]), np.concatenate([p[1] for p in found])


def _merged(best: Found | None, found: Found, k: int, order: Order) -> Found:
    return found if best is None else merge(best, found, k, order)


def _cut(codes: Tensor) -> Iterator[tuple[Order, Tensor]]:
    for start in range(0, len(codes), _BLOCK):
        part = codes[start : start + _BLOCK]
        yield np.arange(start, start + len(part)), part


def _filled(vectors: Vectors, encode: Callable[[Tensor], Tensor]) -> Tensor:
    """The codes of all documents, in the order of the corpus."""
    parts = [(rows, encode(block)) for rows, block in vectors.blocks(_BLOCK)]
    codes = torch.cat([part for _, part in parts])
    return codes[torch.argsort(torch.cat([rows for rows, _ in parts]))]
