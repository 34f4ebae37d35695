"""How sure a difference is: tests and intervals over queries, seeds and documents.

ranx offers tests that are neither seeded nor corrected; a claim needs both. The paired sign-flip
test is Fisher's randomisation test as Smucker, Allan and Carterette (CIKM 2007) advise it for
retrieval; the correction is that of Holm (1979), the intervals are Efron's percentile bootstrap.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Groups = Sequence[Sequence[str]]  # for each query, what it shares with others

ROUNDS = 10_000
_EXACT = 16  # up to 2 ** 16 sign patterns are tried one by one
_CELLS = 1 << 22  # numbers held at once


def permutation(a: Values, b: Values, *, seed: int = 0, rounds: int = ROUNDS) -> float:
    """Two-sided p that paired scores (Q,) have one mean: how often random signs reach as far.

    Exact where at most 16 pairs differ, else (reached + 1) / (rounds + 1).
    """
    differences = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    differences = differences[differences != 0]  # a flipped 0 is a 0
    count = len(differences)
    # sums of the same numbers in another order are equal up to rounding
    goal = abs(differences.sum()) - 1e-12 * np.abs(differences).sum()
    if count <= _EXACT:
        signs = np.arange(2**count)[:, None] >> np.arange(count) & 1  # (2^Q, Q)
        return float((_distances(signs, differences) >= goal).mean())
    generator = np.random.default_rng(seed)
    reached = 0
    for size in _chunks(rounds, count):
        packed = generator.integers(256, size=(size, -(-count // 8)), dtype=np.uint8)
        reached += int((_distances_packed(packed, differences) >= goal).sum())
    return (reached + 1) / (rounds + 1)


def _distances(signs: NDArray[np.integer], differences: Values) -> Values:
    """How far from 0 each pattern's sum is; a sign of 1 keeps a difference, 0 turns it."""
    return np.abs(2.0 * (signs.astype(np.float64) @ differences) - differences.sum())


def _distances_packed(packed: NDArray[np.uint8], differences: Values) -> Values:
    """The same of signs that are bits, (R, Q / 8): what each byte adds is looked up."""
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float64)
    padded = np.zeros((packed.shape[1], 8))
    padded.flat[: len(differences)] = differences
    sums = np.zeros(len(packed))
    for column, of_byte in zip(packed.T, padded @ bits.T, strict=True):
        sums += of_byte[column]
    return np.abs(2.0 * sums - differences.sum())


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down p-values, in the order given: the smallest times m, the next m - 1, …"""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(np.argsort(p_values, kind="stable").tolist()):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def bootstrap(
    values: Values,
    *,
    seed: int = 0,
    rounds: int = ROUNDS,
    level: float = 0.95,
    groups: Groups | None = None,
) -> tuple[float, float]:
    """The percentile interval of a mean; give differences for that of a mean difference."""
    return percentiles(draws(values, seed=seed, rounds=rounds, groups=groups), level)


def percentiles(drawn: Values, level: float = 0.95) -> tuple[float, float]:
    """The middle part of what was drawn."""
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def draws(
    values: Values,
    *,
    seed: int = 0,
    rounds: int = ROUNDS,
    groups: Groups | None = None,
    task: int = 0,
) -> Values:
    """The mean of scores (Q,) or (seeds, Q) in each round of resampling.

    Scores of the same queries are weighed alike under the same arguments, so that the draws of a
    difference are the difference of the draws.

    Several seeds answer the same queries: seeds and queries are drawn independently of each other,
    and every drawn seed is measured on every drawn query. Drawing new queries within each seed
    would average away the luck in the queries, which all seeds share. Of few seeds any bootstrap
    sees too little: (S - 1) / S of the variance that they bring. `task` is the task's number
    in an average over tasks: queries are drawn apart in each, the seeds are the same in all.

    With `groups`, documents are drawn instead of queries, and a query weighs the product of its
    documents' counts: the pigeonhole bootstrap of Owen (Annals of Applied Statistics 1, 2007), for
    pairs within one set as in Davezies, D'Haultfœuille and Guyonvarch (Annals of Statistics 49,
    2021). It is right for what the documents bring, and errs to the wide side for what a query has
    alone. The mean of the counts would err to the narrow side: for queries of two documents it
    sees a quarter of the variance that the documents bring.
    """
    return draws_together([values], seed=seed, rounds=rounds, groups=groups, task=task)[0]


def draws_together(
    scores: Sequence[Values],
    *,
    seed: int = 0,
    rounds: int = ROUNDS,
    groups: Groups | None = None,
    task: int = 0,
) -> list[Values]:
    """The draws of several score matrices of the same queries; these are drawn only once."""
    matrices = [np.atleast_2d(np.asarray(values, dtype=np.float64)) for values in scores]
    sizes = [len(one) for one in matrices]
    stacked = np.concatenate(matrices)  # (all seeds, Q)
    of_seeds = {size: np.random.default_rng([seed, size]) for size in sizes}
    of_queries = np.random.default_rng([seed, 0, task] if task else seed)
    parts: list[list[Values]] = [[] for _ in sizes]
    for weights in _weights(of_queries, rounds, stacked.shape[1], groups):
        means = (weights @ stacked.T) / weights.sum(axis=1, keepdims=True)  # (R, all seeds)
        drawn = {size: _counts(of_seeds[size], len(means), size) for size in of_seeds if size > 1}
        for part, size, end in zip(parts, sizes, np.cumsum(sizes).tolist(), strict=True):
            own = means[:, end - size : end]  # (R, S)
            part.append((own * drawn[size] if size > 1 else own).sum(axis=1) / size)
    return [np.concatenate(part) for part in parts]


def _weights(
    generator: np.random.Generator, rounds: int, queries: int, groups: Groups | None
) -> Iterator[Values]:
    """How often each query counts, (R, Q), in chunks; a round that draws no query is redrawn."""
    if groups is None:
        for size in _chunks(rounds, queries):
            yield _counts(generator, size, queries)
        return
    places, known = _places(groups)
    left = rounds
    while left:
        size = next(_chunks(left, max(queries, known)))
        counts = np.ones((size, known + 1))  # the last one is for places that are not taken
        counts[:, :known] = _counts(generator, size, known)
        weights = np.ones((size, queries))
        for column in places.T:
            weights *= counts[:, column]
        weights = weights[weights.any(axis=1)]
        left -= len(weights)
        yield weights


def _places(groups: Groups) -> tuple[NDArray[np.int64], int]:
    """The number of each query's groups, (Q, most), filled up with the number of groups."""
    numbers = {
        name: i for i, name in enumerate(dict.fromkeys(n for names in groups for n in names))
    }
    places = np.full((len(groups), max(map(len, groups))), len(numbers), dtype=np.int64)
    for i, names in enumerate(groups):
        places[i, : len(names)] = [numbers[name] for name in names]
    return places, len(numbers)


def _counts(generator: np.random.Generator, rounds: int, size: int) -> Values:
    """How often each of `size` things is drawn in `size` draws with replacement, (R, size)."""
    drawn = generator.integers(0, size, (rounds, size)) + size * np.arange(rounds)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=rounds * size)
    return counts.reshape(rounds, size).astype(np.float64)


def _chunks(rounds: int, width: int) -> Iterator[int]:
    """Parts of the rounds that fit into memory."""
    most = max(1, _CELLS // max(1, width))
    for start in range(0, rounds, most):
        yield min(most, rounds - start)


def share_of_sharing(relevant: Groups) -> float:
    """The share of queries that have a relevant document in common with another one."""
    times = Counter(document for documents in relevant for document in set(documents))
    return sum(any(times[d] > 1 for d in documents) for documents in relevant) / len(relevant)


def document_groups(relevant: Groups) -> list[list[str]]:
    """For each query the two documents that most queries share, or itself if it shares none.

    Two, since the product of many counts is almost always 0: what a query has alone is given
    2 ** m - 1 times its variance by m documents, 1 with one, 3 with two, 7 with three.
    """
    times = Counter(document for documents in relevant for document in set(documents))
    out: list[list[str]] = []
    for i, documents in enumerate(relevant):
        shared = [d for d in dict.fromkeys(documents) if times[d] > 1]
        shared.sort(key=lambda d: (-times[d], d))
        out.append([f"document {d}" for d in shared[:2]] or [f"query {i}"])
    return out
