"""Which candidates become the negatives of one row: a function of the row and the rules alone.

A candidate goes if it is known to answer the query, if it nearly repeats a document that does, or
if the judge's score of it is not below a share of the positive's (TopK-PercPos of NV-Retriever,
https://arxiv.org/abs/2407.15831). What remains is taken from each miner by its share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

import numpy as np

from trivet.core.seeds import derive
from trivet.mining.documents import containment

RANDOM = "random"
_GOLDEN = 0.6180339887498949  # successive multiples spread evenly over 0 to 1


@dataclass(frozen=True)
class Rules:
    """What is the same for all rows."""

    number: int  # negatives a row
    shares: dict[str, float]  # by miner, `random` last; they add up to 1
    pool: int  # drawn from the best so many that remain
    threshold: float  # of the positive's score
    shingle: int  # words
    duplicate: float  # containment from which on texts are nearly the same
    short: Literal["drop", "random"]  # what happens to a row with too few
    seed: int


@dataclass(frozen=True)
class Row:
    """A query, its positive, and its candidates; documents are rows of the corpus."""

    number: int
    positive: int
    answers: set[int]  # all known positives of the query, this one too
    itself: int | None  # the document that is the query's own text
    found: dict[str, list[int]]  # by miner, best first
    drawn: list[int]  # at random from the whole corpus
    scores: dict[int, float] = field(default_factory=dict[int, float])  # the judge's, if there is


@dataclass
class Chosen:
    """What became of a row."""

    negatives: list[tuple[int, str]]  # document and miner; empty: too few, the row is dropped
    dropped: list[tuple[int, str, str]]  # document, miner and reason
    filled: int = 0  # negatives that stand in at random for what a miner lacked


def slots(rules: Rules, row: int) -> dict[str, int]:
    """How many negatives each miner gives: its share, rounded so that it holds over the rows."""
    ends = np.cumsum(list(rules.shares.values()))[:-1]
    points = (np.arange(rules.number) + (row + 0.5) * _GOLDEN % 1.0) / rules.number
    counts = np.bincount(np.searchsorted(ends, points, side="right"), minlength=len(ends) + 1)
    return dict(zip(rules.shares, counts.tolist(), strict=True))


def choose(row: Row, rules: Rules, texts: Sequence[str]) -> Chosen:
    """Filter the candidates, then take each miner's part."""
    draw = np.random.default_rng(derive(rules.seed, "choose", row.number))
    out = Chosen([], [])
    taken: dict[int, str] = {}
    wanted = slots(rules, row.number)
    for miner, candidates in row.found.items():
        left = list(_left(miner, candidates, row, rules, texts, out))
        pool = [document for document in left if document not in taken]
        pool = pool[: max(rules.pool, wanted[miner])]
        count = min(wanted[miner], len(pool))
        places = np.sort(draw.choice(len(pool), count, replace=False)) if count else []
        taken |= {pool[place]: miner for place in places}
    out.filled = sum(wanted.values()) - wanted[RANDOM] - len(taken)
    if out.filled and rules.short == "drop":
        return out
    unseen = (document for document in row.drawn if document not in taken)
    rest = _left(RANDOM, unseen, row, rules, texts, out)
    taken |= dict.fromkeys(islice(rest, rules.number - len(taken)), RANDOM)
    if len(taken) == rules.number:
        out.negatives = list(taken.items())
    return out


def tally(row: Row, chosen: Chosen, width: float) -> Counter[str]:
    """One row's part of the statistics; scores are counted in bins of a width."""
    counts = Counter({"rows/read": 1, "rows/short": chosen.filled > 0 or not chosen.negatives})
    for miner, documents in row.found.items():
        counts[f"candidates/{miner}"] += len(documents)
    seen = [miner for _, miner in chosen.negatives] + [miner for _, miner, _ in chosen.dropped]
    counts[f"candidates/{RANDOM}"] += seen.count(RANDOM)  # no more are drawn than are looked at
    counts.update(f"dropped/{miner}/{reason}" for _, miner, reason in chosen.dropped)
    if chosen.negatives:
        counts["rows/written"] += 1
        counts["filled"] += chosen.filled
        counts.update(f"negatives/{miner}" for _, miner in chosen.negatives)
    if row.scores:
        scored = {
            "positive": [row.positive],
            "kept": [document for document, _ in chosen.negatives],
            "dropped": [document for document, _, _ in chosen.dropped],
        }
        for name, documents in scored.items():
            bins = (int(row.scores[document] // width) for document in documents)
            counts.update(f"scores/{name}/{place}" for place in bins)
    return counts


def _left(
    miner: str,
    candidates: Iterable[int],
    row: Row,
    rules: Rules,
    texts: Sequence[str],
    out: Chosen,
) -> Iterator[int]:
    """The candidates with nothing against them; the others are noted."""
    for document in candidates:
        reason = _against(document, row, rules, texts)
        if reason:
            out.dropped.append((document, miner, reason))
        else:
            yield document


def _most(score: float, threshold: float) -> float:
    """What a negative must stay below: a share of the positive's score, on the lower side of it."""
    return score * (threshold if score > 0 else 2 - threshold)


def _against(document: int, row: Row, rules: Rules, texts: Sequence[str]) -> str:
    if document in row.answers or document == row.itself:
        return "known positive"
    for answer in row.answers:
        if containment(texts[document], texts[answer], rules.shingle) >= rules.duplicate:
            return "near duplicate"
    if row.scores and not row.scores[document] < _most(row.scores[row.positive], rules.threshold):
        return "above threshold"
    return ""
