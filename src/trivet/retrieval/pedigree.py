"""What a ledger row says of a retriever that is made of others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trivet.core.hashing import json_digest

Facts = Mapping[str, Any]


def merged(parts: Mapping[str, Facts]) -> dict[str, Any]:
    """The facts of the whole: learned if a part is, in-domain where a part is; parts beneath."""
    learned = {name: facts for name, facts in parts.items() if facts["model_key"] is not None}
    keys = {name: facts["model_key"] for name, facts in learned.items()}
    known = [facts["trained_on"] for facts in parts.values()]
    whole: dict[str, Any] = {
        "model": " + ".join(
            str(facts["model"] if name in learned else facts["kind"])
            for name, facts in parts.items()
        ),
        "model_key": json_digest(keys) if keys else None,
        "in_domain": sorted({task for facts in parts.values() for task in facts["in_domain"]}),
        "trained_on": None if None in known else sorted({name for some in known for name in some}),
        "precision": _one({name: facts["precision"] for name, facts in (learned or parts).items()}),
        "prompts": _joined({name: facts["prompts"] for name, facts in parts.items()}),
        "lengths": _joined({name: facts["lengths"] for name, facts in parts.items()}),
        "parts": {name: dict(facts) for name, facts in parts.items()},
    }
    seeds = {facts.get("train_seed") for facts in parts.values()} - {None}  # some have none
    return whole | ({"train_seed": seeds.pop()} if len(seeds) == 1 else {})


def _one(values: dict[str, str]) -> str:
    """What all say, or who says what."""
    if len(set(values.values())) == 1:
        return next(iter(values.values()))
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _joined(parts: dict[str, Facts]) -> dict[str, Any]:
    """All settings in one; where two parts differ, a name stands before each: `dense.query`."""
    out: dict[str, Any] = {}
    for key in sorted({key for facts in parts.values() for key in facts}):
        values = {name: facts[key] for name, facts in parts.items() if key in facts}
        if len(set(values.values())) == 1:
            out[key] = next(iter(values.values()))
        else:
            out |= {f"{name}.{key}": value for name, value in values.items()}
    return out
