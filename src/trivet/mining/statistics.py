"""Counts of all rows, brought into the form that a manifest holds and a person reads."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

WIDTH = 0.02  # of a histogram's bins; doubled until they are few, since scores may be of any size
_BINS = 50
_REASONS = ("known positive", "near duplicate", "above threshold")


def summary(counts: Counter[str], shares: Mapping[str, float]) -> dict[str, Any]:
    """What was read, kept and dropped, and why; shares asked for and achieved."""
    negatives = {miner: counts[f"negatives/{miner}"] for miner in shares}
    total = sum(negatives.values())
    read, written = counts["rows/read"], counts["rows/written"]
    return {
        "rows": {
            "read": read,
            "written": written,
            "dropped": read - written,
            "short": counts["rows/short"],
        },
        "negatives": negatives,
        "shares": {miner: round(count / max(1, total), 4) for miner, count in negatives.items()},
        "shares_asked": dict(shares),
        "filled": counts["filled"],
        "candidates": {miner: counts[f"candidates/{miner}"] for miner in shares},
        "dropped": {
            miner: {reason: counts[f"dropped/{miner}/{reason}"] for reason in _REASONS}
            for miner in shares
        },
        "scores": histograms(counts),
    }


def histograms(counts: Mapping[str, int]) -> dict[str, list[float]]:
    """The judge's scores of positives, kept and dropped candidates, over common bins."""
    found = {
        (name, int(place)): count
        for key, count in counts.items()
        if key.startswith("scores/")
        for _, name, place in [key.split("/")]
    }
    if not found:
        return {}
    places = [place for _, place in found]
    double = 0
    while (max(places) >> double) - (min(places) >> double) >= _BINS:
        double += 1
    first, last = min(places) >> double, max(places) >> double
    width = WIDTH * 2**double
    digits = max(0, 2 - math.floor(math.log10(width)))
    out = {"edges": [round(place * width, digits) for place in range(first, last + 2)]}
    for kind in ("positive", "kept", "dropped"):
        bins: list[float] = [0] * (last - first + 1)
        for (name, place), count in found.items():
            if name == kind:
                bins[(place >> double) - first] += count
        out[kind] = bins
    return out
