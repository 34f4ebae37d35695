"""The largest products of a vector with many rows: all of them in 8 bits, the likely ones in 32.

Products of bytes cost half of those in bf16, a fifth of those in fp32, and say which few rows can
be among the largest; only of these are the products made in fp32. How far rounding to bytes moves a
product is known, so a vector for which too few rows were looked at is noticed, and all of its
products are made.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch
from torch import Tensor

from trivet.core.inner import inner
from trivet.core.machine import bf16_units
from trivet.core.top import top

_PRODUCT = "_int_mm"  # of bytes, summed in 32 bits: torch has it under no public name
_GROUP = 16  # rows of a maximum
_LANES = 64  # groups whose maxima are taken abreast
_RUN = _GROUP * _LANES  # rows of these groups; a matrix has a multiple of it
_ROUND = 1 << 22  # products at once: what a cache holds
_LEAST, _FEWEST = 4096, 256  # rows and vectors; with fewer nothing is gained
_SIGMAS = 8.0  # of the rounding's standard deviation: more than ever happens


def suited(vectors: Tensor, matrix: Tensor, k: int) -> bool:
    """Whether it is the faster way here, and numbers are such that bytes can stand for them."""
    return (
        vectors.device.type == "cpu"
        and vectors.dtype == matrix.dtype == torch.float32
        and len(matrix) % _RUN == 0
        and len(matrix) >= max(_LEAST, 4 * k * _GROUP)
        and len(vectors) >= _FEWEST
        and bool(bf16_units("cpu"))  # who has these has those for bytes
        and hasattr(torch, _PRODUCT)
        and bool(vectors.detach().sum().isfinite())  # what is no number makes the sum none
        and bool(matrix.detach().sum().isfinite())
    )


@torch.no_grad()
def largest_by_bytes(
    vectors: Tensor, matrix: Tensor, k: int, bias: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """(T, k) products in fp32, largest first, and (T, k) rows."""
    small, scales = _to_bytes(matrix)
    added = torch.zeros(len(matrix)) if bias is None else bias.detach()
    widest = matrix.norm(dim=1).max()
    turned, whole = small.T, matrix.detach().contiguous()
    multiply: Any = getattr(torch, _PRODUCT)
    size = max(1, _ROUND // len(matrix))
    values = torch.empty(len(vectors), k)
    rows = torch.empty(len(vectors), k, dtype=torch.int64)
    sure = torch.empty(len(vectors), dtype=torch.bool)
    for start in range(0, len(vectors), size):
        at = slice(start, start + size)
        part = vectors[at].detach().contiguous()
        own, steps = _to_bytes(part)
        moved = (steps * widest).square() + (part.norm(dim=1) * scales.max()).square()
        slack = _SIGMAS * (moved / 12).sqrt()  # a sum of D errors, uniform within a unit
        _choose(multiply(own, turned), steps, scales, added, slack, part, whole,
                values[at], rows[at], sure[at])  # fmt: skip
    unsure = (~sure).nonzero()[:, 0]
    with torch.autocast("cpu", enabled=False):
        for some in unsure.split(256):
            values[some], rows[some] = top(inner(vectors[some], matrix, added), k)
    return values, rows


def _to_bytes(rows: Tensor) -> tuple[Tensor, Tensor]:
    """(N, D) in 8 bits, and what a unit of each row is, (N,)."""
    steps = torch.linalg.vector_norm(rows, torch.inf, dim=1).clamp_(min=1e-30).div_(127)
    return (rows / steps[:, None]).round_().to(torch.int8), steps


def _choose(products: Tensor, *others: Tensor) -> None:
    """Run the loop over rows on as many threads as torch has."""
    loop, threads = _compiled(), torch.get_num_threads()
    arrays = [tensor.numpy() for tensor in (products, *others)]
    by_vector = (0, 1, 4, 5, 7, 8, 9)  # the arrays that have a row for each vector

    def work(start: int, stop: int) -> None:
        loop(*(a[start:stop] if i in by_vector else a for i, a in enumerate(arrays)))

    share = -(-len(products) // threads)
    ends = [(i, min(i + share, len(products))) for i in range(0, len(products), share)]
    if len(ends) == 1:
        return work(*ends[0])
    list(_pool(threads).map(lambda end: work(*end), ends))
    return None


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="trivet-products")


@cache
def _compiled() -> Any:
    """The loop in machine code; numba is loaded when it is first wanted."""
    import numba
    import numpy as np

    @numba.njit(nogil=True, fastmath={"reassoc", "contract", "nsz", "nnan", "ninf"})
    def choose(
        products: Any, steps: Any, scales: Any, bias: Any, slack: Any, vectors: Any, matrix: Any,
        values: Any, rows: Any, sure: Any,
    ) -> None:  # fmt: skip
        count, width = products.shape
        lowest = np.float32(-3e38)
        k, dim = values.shape[1], vectors.shape[1]
        groups = width // _GROUP
        highest = np.empty(groups, np.float32)
        kept = np.empty(2 * k, np.float32)
        for i in range(count):
            step = steps[i]
            highest[:] = lowest
            for start in range(0, width, _RUN):
                best = highest[start // _GROUP : start // _GROUP + _LANES]
                for j in range(start, start + _RUN, _LANES):  # maxima of many groups, abreast
                    own = products[i, j : j + _LANES]
                    unit, more = scales[j : j + _LANES], bias[j : j + _LANES]
                    for lane in range(_LANES):
                        coarse = np.float32(own[lane]) * (step * unit[lane]) + more[lane]
                        best[lane] = max(best[lane], coarse)
            kept[:] = lowest
            for group in range(groups):
                if highest[group] > kept[-1]:
                    at = 2 * k - 1
                    while at > 0 and kept[at - 1] < highest[group]:
                        kept[at] = kept[at - 1]
                        at -= 1
                    kept[at] = highest[group]
            least = kept[-1]  # 2 k groups reach it, so 2 k rows do
            values[i, :] = lowest
            for group in range(groups):
                if highest[group] < least:
                    continue
                start = group // _LANES * _RUN + group % _LANES
                for j in range(start, start + _RUN, _LANES):
                    if np.float32(products[i, j]) * (step * scales[j]) + bias[j] < least:
                        continue
                    exact, one, other = np.float32(0), vectors[i], matrix[j]
                    for d in range(dim):
                        exact += one[d] * other[d]
                    exact += bias[j]
                    if exact > values[i, -1]:
                        at = k - 1
                        while at > 0 and values[i, at - 1] < exact:
                            values[i, at] = values[i, at - 1]
                            rows[i, at] = rows[i, at - 1]
                            at -= 1
                        values[i, at] = exact
                        rows[i, at] = j
            sure[i] = values[i, -1] >= least + slack[i]

    return choose
