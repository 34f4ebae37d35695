"""A random order of N rows that needs no memory: any position can be asked for at once.

A Feistel network over the smallest even power of two that holds N, walked until it falls inside
(Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002). A shuffled array of 200 million
rows would take 1.6 GB and have to be drawn again at every resume; this is four rounds of hashing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 4


def permute(positions: NDArray[np.int64], size: int, seed: int) -> NDArray[np.int64]:
    """Where each position of 0..size-1 lands in the random order that the seed names."""
    if positions.size and (int(positions.min()) < 0 or int(positions.max()) >= size):
        raise ValueError(f"a position lies outside 0..{size - 1}")
    half = np.uint64(max(1, (max(size - 1, 1).bit_length() + 1) // 2))
    keys = np.random.Generator(np.random.PCG64(seed)).integers(0, 2**63, _ROUNDS, dtype=np.uint64)
    out = _network(positions.astype(np.uint64), half, keys)
    while (outside := out >= np.uint64(size)).any():
        out[outside] = _network(out[outside], half, keys)
    return out.astype(np.int64)


def _network(
    x: NDArray[np.uint64], half: np.uint64, keys: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = x >> half, x & mask
    for key in keys:
        left, right = right, left ^ (_mix(right + key) & mask)
    return (left << half) | right


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser: every input bit reaches every output bit."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
