"""How a row was made: its command, what its config changes, its model's descent, and where."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trivet.bench.manifests import models
from trivet.report.labels import settings
from trivet.report.selection import Choice
from trivet.report.site.boards import Board
from trivet.report.site.slugs import slugs

Row = dict[str, Any]
Manifest = dict[str, Any]
Flat = dict[str, str]
_ABSENT = "not there"


@dataclass(frozen=True)
class Ancestor:
    """One artifact on the way to a model."""

    stage: str
    key: str
    trained_on: list[str]  # what this stage adds
    origins: list[str]


@dataclass(frozen=True)
class Environment:
    """Software and hardware that rows share."""

    number: int
    commit: str
    hardware: Flat
    versions: Flat


@dataclass(frozen=True)
class Measured:
    """One row of the ledger."""

    row: Row
    environment: int


@dataclass(frozen=True)
class Made:
    """What stands behind one label of a board."""

    label: str
    anchor: str
    commands: list[str]
    models: list[str]  # what was measured, by key or name
    config: Flat  # all of it, of the first row
    base: str  # the label that it is set against; empty: none
    changes: list[tuple[str, str, str]]  # name, the baseline's value, its own
    lineage: list[Ancestor]
    trained: bool  # whether a model was learned at all
    manifest: bool  # whether what it says of itself was found
    measured: list[Measured] = field(default_factory=list[Measured])


@dataclass(frozen=True)
class Making:
    """The page of a board: every label, and the environments that their rows name."""

    made: list[Made]
    environments: list[Environment]


def making(
    board: Board,
    anchors: Mapping[str, str],
    bases: Mapping[str, str],
    manifests: Mapping[str, Manifest],
) -> Making:
    """How every row of a board was made; `bases`: the labels that configs are set against."""
    environments: dict[str, Environment] = {}
    whole = {choice.name: config_of(choice.rows[0], manifests) for choice in board.choices}
    out: list[Made] = []
    for choice in board.ordered():
        row = choice.rows[0]
        key = row["retriever"]["model_key"]
        manifest = manifests.get(str(key))
        base = bases.get(choice.name, "")
        out.append(
            Made(
                label=choice.name,
                anchor=anchors[choice.name],
                commands=list(dict.fromkeys(str(one["command"]) for one in choice.rows)),
                models=list(dict.fromkeys(_names(choice.rows))),
                config=whole[choice.name],
                base=base,
                changes=differences(whole[base], whole[choice.name]) if base else [],
                lineage=lineage(manifest) if manifest else [],
                trained=key is not None,
                manifest=manifest is not None,
                measured=[_measured(one, environments) for one in choice.rows],
            )
        )
    return Making(out, list(environments.values()))


def _names(rows: Sequence[Row]) -> list[str]:
    return [
        f"{model} ({key[:16]})" if key[:16] not in model else model
        for row in rows
        for model, key in models(row["retriever"])
    ] or [str(rows[0]["retriever"]["model"])]


def _measured(row: Row, known: dict[str, Environment]) -> Measured:
    hardware = {name: _said(value) for name, value in row["hardware"].items()}
    versions = {"trivet": str(row["trivet"]), **{k: str(v) for k, v in row["libraries"].items()}}
    git = row["git"]
    commit = "not known" if git is None else git["commit"][:12] + " +" * bool(git["dirty"])
    text = json.dumps([commit, hardware, versions], sort_keys=True)
    environment = known.setdefault(text, Environment(len(known) + 1, commit, hardware, versions))
    return Measured(row, environment.number)


def config_of(row: Row, manifests: Mapping[str, Manifest]) -> Flat:
    """All that was chosen, by dotted names: in the model's stages, and in the search."""
    out: Flat = {}
    manifest = manifests.get(str(row["retriever"]["model_key"]))
    for stage in [*manifest.get("ancestors", []), manifest] if manifest else []:
        out |= flat(stage.get("config", {}), str(stage["stage"]))
    out |= {f"search.{name}": _said(value) for name, value in settings(row["retriever"]).items()}
    for name in ("lengths", "prompts"):
        out |= {f"search.{name}.{k}": _said(v) for k, v in row["retriever"][name].items()}
    if row.get("sweep"):
        out |= {f"sweep.{k}": _said(v) for k, v in row["sweep"]["level"].items()}
    return out


def flat(value: Any, prefix: str) -> Flat:
    """Leaves by dotted names; what the names of classes say is kept in short."""
    if isinstance(value, Mapping) and value:
        out: Flat = {}
        for name, part in value.items():
            if name == "_target_":
                out[prefix or "kind"] = str(part).rpartition(".")[2]
            else:
                out |= flat(part, f"{prefix}.{name}" if prefix else str(name))
        return out
    if isinstance(value, list) and any(isinstance(part, Mapping) for part in value):
        return {
            k: v for i, part in enumerate(value) for k, v in flat(part, f"{prefix}.{i}").items()
        }
    return {prefix: _said(value)}


def _said(value: Any) -> str:
    """A value as a config file would hold it."""
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def differences(base: Flat, other: Flat) -> list[tuple[str, str, str]]:
    """What is not alike, the seeds apart: name, one value, the other."""
    names = list(dict.fromkeys([*base, *other]))
    pairs = [(name, base.get(name, _ABSENT), other.get(name, _ABSENT)) for name in names]
    return [(n, one, two) for n, one, two in pairs if one != two and not n.endswith(".seed")]


def lineage(manifest: Manifest) -> list[Ancestor]:
    """The artifacts from the first stage to the model itself."""
    out: list[Ancestor] = []
    seen: set[str] = set()
    for one in [*manifest.get("ancestors", []), manifest]:
        added = [name for name in one.get("trained_on") or [] if name not in seen]
        seen.update(added)
        origins = [
            ", ".join(f"{k} {v}" for k, v in origin.items())
            for origin in one.get("origins", {}).values()
        ]
        out.append(
            Ancestor(str(one["stage"]), str(one["key"]), added, list(dict.fromkeys(origins)))
        )
    return out


def anchors_of(choices: Sequence[Choice]) -> dict[str, str]:
    """A place on the page for each label, no two alike."""
    names = [choice.name for choice in choices]
    return dict(zip(names, slugs(names), strict=True))
