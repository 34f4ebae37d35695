"""MaxSim, the score of late interaction: each query token's best document token, added up.

Khattab and Zaharia, https://arxiv.org/abs/2004.12832. A maximum over tokens wants all tokens of a
document side by side, so documents are laid out once in blocks of like length, filled up by
repeating a token of their own: a repeated token cannot change a maximum, so there is no mask. A
block's scores fit in the CPU's cache, which is where the time goes (experiments/002).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from trivet.core.inner import evened, inner
from trivet.core.ragged import Ragged

_SLACK = 0.1  # the most that a block repeats
_CPU_TOKENS, _GPU_TOKENS = 1 << 14, 1 << 18  # document tokens of a block


@dataclass(frozen=True)
class Prepared:
    """Documents laid out for scoring, in fp32; those without a token have no block."""

    rows: list[Tensor]  # for each block, its documents (n,)
    blocks: list[Tensor]  # for each block, (n, L, D)
    count: int  # all documents

    @classmethod
    def of(cls, documents: Ragged, tokens: int | None = None) -> Prepared:
        """Lay documents out in blocks of so many tokens; a longer document is a block alone."""
        values, lengths = documents.values.float(), documents.lengths
        tokens = tokens or (_GPU_TOKENS if values.is_cuda else _CPU_TOKENS)
        rows = [group.to(values.device) for group in _groups(lengths.cpu(), tokens)]
        blocks: list[Tensor] = []
        for group in rows:
            own = lengths[group]
            places = torch.arange(int(own.max()), device=values.device)[None]  # (1, L)
            places = torch.minimum(places, own[:, None] - 1) + documents.offsets[group][:, None]
            blocks.append(values[places])
        return cls(rows, blocks, len(documents))


def maxsim(
    queries: Ragged,
    documents: Ragged | Prepared,
    *,
    budget: int = 1 << 26,
) -> Tensor:
    """(Q, N) scores in fp32. A document without tokens scores minus infinity, as nothing found.

    `budget`: inner products held at once. A document with too many tokens is scored in pieces.
    """
    longest = max(1, int(queries.lengths.max()) if len(queries) else 1)
    if isinstance(documents, Ragged):
        limit = _GPU_TOKENS if documents.values.is_cuda else _CPU_TOKENS
        documents = Prepared.of(documents, max(1, min(limit, budget // longest)))
    device = queries.values.device
    out = torch.full((len(queries), documents.count), -torch.inf, device=device)
    if not documents.blocks:
        return out
    rows = torch.cat(documents.rows)
    for start, end in _parts(queries):
        part = Ragged(
            queries.values[int(queries.offsets[start]) : int(queries.offsets[end])].float(),
            queries.offsets[start : end + 1] - queries.offsets[start],
        )
        found = [_scores(part, block, budget) for block in documents.blocks]  # (n, queries) each
        out[start:end, rows] = torch.cat(found).T
    return out


def reference(queries: Ragged, documents: Ragged) -> Tensor:
    """The meaning of it all, in two loops: what `maxsim` is held against."""
    out = torch.full((len(queries), len(documents)), -torch.inf)
    for i, query in enumerate(queries):
        for j, document in enumerate(documents):
            if len(document):
                out[i, j] = (query.float() @ document.float().T).amax(1).sum()
    return out


def _best(query: Tensor, block: Tensor, budget: int) -> Tensor:
    """The best inner product of each query token with each document, (n, T)."""
    n, length, dim = block.shape
    tokens, query = len(query), evened(query)
    step = max(1, budget // max(1, n * len(query)))  # tokens of each document at once
    best: Tensor | None = None
    for start in range(0, length, step):
        part = block if step >= length else block[:, start : start + step]
        scores = inner(part.reshape(-1, dim), query)  # (n * l, T)
        found = scores.view(n, part.shape[1], len(query)).amax(1)
        best = found if best is None else torch.maximum(best, found)
    assert best is not None
    return best[:, :tokens]


def _scores(queries: Ragged, block: Tensor, budget: int) -> Tensor:
    best = _best(queries.values, block, budget)  # (n, T)
    if len(queries) == 1:
        return best.sum(1, keepdim=True)
    owner = torch.arange(len(queries), device=best.device)
    owner = torch.repeat_interleave(owner, queries.lengths.to(best.device))
    return best.new_zeros(len(block), len(queries)).index_add_(1, owner, best)


def _groups(lengths: Tensor, tokens: int) -> Iterator[Tensor]:
    """Documents of like length together, the short ones first, within so many tokens."""
    order = torch.sort(lengths, stable=True).indices
    order = order[lengths[order] > 0]
    sizes = lengths[order].tolist()
    start = 0
    for end in range(1, len(sizes) + 1):
        full = end == len(sizes)
        if (
            full
            or sizes[end] > (1 + _SLACK) * sizes[start]
            or (end + 1 - start) * sizes[end] > tokens
        ):
            yield order[start:end]
            start = end


def _parts(queries: Ragged, tokens: int = 256) -> Iterator[tuple[int, int]]:
    """Queries a few at a time: their scores with a block are to stay in the cache."""
    offsets = queries.offsets.tolist()
    start = 0
    for end in range(1, len(offsets)):
        full = end + 1 == len(offsets)
        if full or offsets[end + 1] - offsets[start] > tokens:
            yield start, end
            start = end
