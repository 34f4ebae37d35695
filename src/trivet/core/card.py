"""A model's card: how to load it, how and from what it was made, what was measured.

The front matter is what the hub reads (https://huggingface.co/docs/hub/model-cards); all else is
told by the manifest. No clock and no machine goes in, so an artifact's card is always the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from trivet.core.artifact import CARD
from trivet.core.card_code import CODE
from trivet.core.files import read_json, write_bytes

Facts = dict[str, Any]


@dataclass(frozen=True)
class _Kind:
    """What one sort of model is called, and on the hub."""

    what: str
    library: str
    task: str
    tags: tuple[str, ...]


_VECTORS = ("sentence-transformers", "sentence-similarity", "feature-extraction")
_LATE = "late-interaction retriever (ColBERT): one vector a token"
_KINDS = {
    "dense": _Kind(
        "dense retriever: one vector a text", "sentence-transformers", _VECTORS[1], _VECTORS
    ),
    "colbert": _Kind(_LATE, "PyLate", _VECTORS[1], ("ColBERT", "PyLate", *_VECTORS)),
    "gated": _Kind(_LATE, "PyLate", _VECTORS[1], ("ColBERT", "PyLate", *_VECTORS)),
    "multi-vector": _Kind(
        _LATE,
        "sentence-transformers",
        _VECTORS[1],
        ("ColBERT", "multi-vector", *_VECTORS),
    ),
    "onnx": _Kind(
        "retriever as one ONNX graph, from tokens to vectors",
        "onnx",
        _VECTORS[2],
        ("onnx", "feature-extraction"),
    ),
    "cross-encoder": _Kind(
        "cross-encoder: a score for a query and a document",
        "sentence-transformers",
        "text-ranking",
        ("sentence-transformers", "cross-encoder", "reranker"),
    ),
    "latent": _Kind(
        "sparse autoencoder beside the frozen encoder it belongs to: latent terms for BM25",
        "trivet",
        _VECTORS[2],
        ("sparse-autoencoder", "latent-terms", _VECTORS[2]),
    ),
}


def write_card(folder: Path, manifest: Facts, *, results: str = "", base: str = "") -> None:
    """Write a model's card into its folder; whatever is no model gets none.

    `results` is Markdown; `base` is the hub id of a model whose manifest says nothing.
    """
    kind = _kind(folder)
    if kind is None:
        return
    stages = [*manifest.get("ancestors", []), *([manifest] if "key" in manifest else [])]
    made = "made with" if stages else "exported by"
    parts = [
        _front_matter(_KINDS[kind], stages, base),
        f"# {_name(manifest, base)}\n\nA {_KINDS[kind].what}, {made} trivet.",
        "## How to load it\n\n`MODEL` is this folder, or its id on the hub.\n\n" + CODE[kind],
        _recipe(stages),
        _data(stages),
        f"## Results\n\n{results}" if results else "",
    ]
    write_bytes(folder / CARD, ("\n\n".join(part for part in parts if part) + "\n").encode())


def _kind(folder: Path) -> str | None:
    """What of a folder's files say what sort of model it is."""
    if (folder / "model.onnx").is_file():
        return "onnx"
    if _own(folder).get("pairs"):
        return "cross-encoder"
    if not (folder / "modules.json").is_file():
        return None
    if (folder / "sae").is_dir():
        return "latent"
    modules = cast("list[Facts]", read_json(folder / "modules.json"))
    names = {str(module["type"]).rpartition(".")[2] for module in modules}
    if "MultiVectorMask" in names:
        return "multi-vector"
    if "Pooling" in names:
        return "dense"
    return "gated" if "Gated" in names else "colbert"


def _own(folder: Path) -> Facts:
    """What trivet keeps beside a model."""
    path = folder / "trivet.json"
    return cast("Facts", read_json(path)) if path.is_file() else {}


def _name(manifest: Facts, base: str) -> str:
    if "key" in manifest:
        return f"{manifest['stage']}-{manifest['key'][:16]}"
    return base or "A model"


def _front_matter(kind: _Kind, stages: Sequence[Facts], base: str) -> str:
    """What the hub reads: only ids that are known to be on it."""
    import yaml

    found = [place for stage in stages for place in stage.get("origins", {}).items()]
    bases = [origin["hub"] for where, origin in found if where == "backbone" and "hub" in origin]
    bases += [base] if base else []
    data = [o["hub"] for where, o in found if where.startswith("data.") and "hub" in o]
    fields: Facts = {"library_name": kind.library, "pipeline_tag": kind.task}
    fields["tags"] = [*kind.tags, "trivet"]
    if bases:
        fields["base_model"] = bases[0]
    if data:
        fields["datasets"] = list(dict.fromkeys(data))
    return "---\n" + yaml.safe_dump(fields, sort_keys=False).rstrip() + "\n---"


def _recipe(stages: Sequence[Facts]) -> str:
    """Each stage with its settings, the first one first."""
    blocks: list[str] = []
    for i, stage in enumerate(stages, 1):
        config = cast("Facts", stage.get("config", {}))
        rows = [f"| {name} | {_code(value)} |" for name, value in _settings(config, stage, "")]
        kind = _class(config) or "made elsewhere, known by its files"
        head = f"### {i}. {stage['stage']} ({kind})\n\nKey `{stage['key']}`"
        steps = (stage.get("training") or {}).get("steps")
        head += f", {steps} steps" if steps is not None else ""
        head += f", trivet {stage['trivet']}." if "trivet" in stage else "."
        if "averaged" in stage:
            parts = [f"`{one['model_key'][:16]}` x {one['weight']}" for one in stage["averaged"]]
            head += f" The mean of {', '.join(parts)}."
        blocks.append(head + ("\n\n" + _table(["setting", "value"], rows) if rows else ""))
    return "\n\n".join(["## Recipe", *blocks]) if blocks else ""


def _settings(value: Any, stage: Facts, where: str) -> Iterator[tuple[str, str]]:
    """Every setting by its dotted name; sources have a table of their own."""
    if isinstance(value, dict):
        held = cast("Facts", value)
        if where and "_target_" in held:
            yield where, _class(held) + _from(stage, where)
        for name, part in sorted(held.items()):  # as a manifest is written
            inner = f"{where}.{name}" if where else name
            if name not in ("_target_", "fingerprint") and inner != "data.sources":
                yield from _settings(part, stage, inner)
    elif isinstance(value, list) and any(isinstance(one, dict) for one in cast("list[Any]", value)):
        for i, part in enumerate(cast("list[Any]", value)):
            yield from _settings(part, stage, f"{where}.{i}")
    elif value not in (None, [], ""):
        text = str(value)
        bare = isinstance(value, str) and text.isprintable() and text.strip() == text
        yield where, text if bare else json.dumps(value)


def _code(text: str) -> str:
    """A value in a cell of a table."""
    text = text.replace("|", "\\|")
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _class(config: Facts) -> str:
    return str(config.get("_target_", "")).rpartition(".")[2]


def _from(stage: Facts, where: str) -> str:
    """Where something was taken from, if that is a place that others can reach."""
    origin = cast("dict[str, str]", stage.get("origins", {}).get(where, {}))
    name = origin.get("hub") or origin.get("package")
    if not name:
        return ""
    subset = f", {origin['subset']}" if "subset" in origin else ""
    revision = f" at {origin['revision']}" if "revision" in origin else ""
    return f": {name}{subset}{revision}"


def _data(stages: Sequence[Facts]) -> str:
    """What was trained on: sources, their fingerprints, and what overlapped the benches."""
    rows: list[str] = []
    overlaps: list[str] = []
    for stage in stages:
        sources = stage.get("config", {}).get("data", {}).get("sources", [])
        for i, source in enumerate(cast("list[Facts]", sources)):
            place = _from(stage, f"data.sources.{i}").removeprefix(": ") or "local files"
            count = stage.get("rows", {}).get(source["name"])
            cells = [stage["stage"], source["name"], place, "-" if count is None else f"{count:,}"]
            rows.append(f"| {' | '.join(cells)} | `{source['fingerprint'][:16]}` |")
        for one in (stage.get("decontamination") or {}).get("overlap", []):
            kept = "in-domain, kept" if one["in_domain"] else f"{one['dropped']:,} dropped"
            overlaps.append(f"| {stage['stage']} | {one['source']} | {one['task']} | {kept} |")
    parts = ["## Data", _table(["stage", "source", "from", "rows", "fingerprint"], rows)]
    parts = parts if rows else parts[:1]
    parts += _untold(stages, {row.split(" | ")[1] for row in rows})
    if overlaps:
        parts.append("Rows that overlap these tasks' test data:")
        parts.append(_table(["stage", "source", "task", "rows"], overlaps))
    elif rows:
        parts.append("Not decontaminated against any bench.")
    domain = sorted({task for stage in stages for task in stage.get("in_domain", [])})
    if domain:
        parts.append(f"In-domain, so not zero-shot: {', '.join(domain)}.")
    return "\n\n".join(parts) if parts[1:] else ""


def _untold(stages: Sequence[Facts], told: set[str]) -> list[str]:
    """What it was trained on by stages that are not described here."""
    trained = stages[-1].get("trained_on", []) if stages else []
    if trained is None:
        return ["What it was trained on before is not known."]
    rest = [name for name in trained if name not in told]
    return [f"Trained before on: {', '.join(rest)}."] if rest else []


def _table(headers: Sequence[str], rows: Sequence[str]) -> str:
    head = f"| {' | '.join(headers)} |\n|{'---|' * len(headers)}"
    return "\n".join([head, *rows])
