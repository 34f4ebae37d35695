"""ColBERT models on disk, in PyLate's layout: they load with plain `pylate.models.ColBERT(path)`.

PyLate counts every token of a text in its lengths; here they count content, so what is stored is
content, specials and marker together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from torch import nn

from trivet.core.errors import ArtifactError
from trivet.core.files import read_json, write_json
from trivet.models.colbert import ColBERT, Expansion
from trivet.models.heads import Projection, load_projection, save_projection
from trivet.models.layout import (
    EXTRA,
    position_limit,
    read_optional,
    save_encoder,
    write_plain,
)
from trivet.models.loading import load_both
from trivet.models.multi_vector import in_pylates_words
from trivet.models.tokens import Tokenizer

_SIDES = ("query", "document")


def save_colbert(model: ColBERT, folder: Path) -> None:
    """Write a ColBERT model; the folder must exist."""
    tokenizer = model.tokenizer
    inner = tokenizer.inner
    save_encoder(model.encoder, folder)
    inner.save_pretrained(folder)
    modules = [{"idx": 0, "name": "0", "path": "", "type": _TRANSFORMER}]
    for i, layer in enumerate(model.head, 1):
        name = f"{i}_Dense"
        kind = _GATED if cast("Projection", layer).beyond else _DENSE
        modules.append({"idx": i, "name": str(i), "path": name, "type": kind})
        (folder / name).mkdir()
        save_projection(cast("Projection", layer), folder / name)
    totals = {side: tokenizer.total(side) for side in _SIDES}
    write_plain(folder / "modules.json", modules)
    write_plain(
        folder / "sentence_bert_config.json",
        {"max_seq_length": max(totals.values()), "do_lower_case": tokenizer.lower},
    )
    write_plain(
        folder / "config_sentence_transformers.json",
        {
            "model_type": "ColBERT",
            "prompts": tokenizer.prompts,
            "default_prompt_name": None,
            "similarity_fn_name": "MaxSim",
            **{f"{side}_prefix": _marker(inner, tokenizer, side) for side in _SIDES},
            **{f"{side}_length": total for side, total in totals.items()},
            "attend_to_expansion_tokens": model.expansion == "mask_attend",
            "skiplist_words": inner.convert_ids_to_tokens(model.skip),
            "do_query_expansion": model.expansion != "none",
        },
    )
    write_json(folder / EXTRA, {"lengths": tokenizer.lengths})


def load_colbert(folder: Path, *, budget: int = 16384) -> ColBERT:
    """Read a ColBERT model that trivet, PyLate or sentence-transformers 6 wrote."""
    if not (folder / "modules.json").is_file():
        fix = "Give a folder or hub id in PyLate's layout, such as a trivet colbert artifact"
        raise ArtifactError("no modules.json: not a ColBERT model", where=str(folder), fix=fix)
    modules = cast("list[dict[str, Any]]", read_json(folder / "modules.json"))
    names = [str(module["type"]).rpartition(".")[2] for module in modules]
    if names[:1] != ["Transformer"] or set(names[1:]) - _KNOWN:
        what = f"its modules are {', '.join(names)}; a ColBERT model is Transformer and Dense"
        raise ArtifactError(what, where=str(folder / "modules.json"))
    if not {"Dense", "Gated"} & set(names):
        fix = "A dense model is searched with --retriever dense"
        raise ArtifactError("has no head: no Dense module", where=str(folder), fix=fix)
    inside = folder / str(modules[0]["path"])
    encoder, inner = load_both(inside)
    paths = [
        str(m["path"]) for m, name in zip(modules, names, strict=True) if name in ("Dense", "Gated")
    ]
    head = [load_projection(folder / path) for path in paths]
    _check_chain(head, int(encoder.config.hidden_size), folder)
    settings = read_optional(folder / "config_sentence_transformers.json")
    if "MultiVectorMask" in names:
        mask = folder / str(modules[names.index("MultiVectorMask")]["path"])
        settings = in_pylates_words(folder, inside, mask, inner)
    expansion: Expansion = "none"
    if settings.get("do_query_expansion", True):
        expansion = "mask_attend" if settings.get("attend_to_expansion_tokens") else "mask"
    words: list[str] = settings.get("skiplist_words", [])
    extra = read_optional(folder / EXTRA)
    tokenizer = _tokenizer(inner, settings, extra, position_limit(encoder), folder)
    reading = read_optional(inside / "sentence_bert_config.json")
    tokenizer.lower = bool(reading.get("do_lower_case"))
    return ColBERT(
        encoder,
        nn.Sequential(*head),
        tokenizer,
        expansion=expansion,
        skip=[int(cast("int", inner.convert_tokens_to_ids(word))) for word in words],
        budget=budget,
    )


_TRANSFORMER = "sentence_transformers.models.Transformer"
_DENSE = "pylate.models.Dense.Dense"
_GATED = "trivet.models.pylate_gated.Gated"
_KNOWN = {"Dense", "Gated", "Normalize", "MultiVectorMask"}


def _tokenizer(
    inner: Any, settings: dict[str, Any], extra: dict[str, Any], limit: int, folder: Path
) -> Tokenizer:
    markers = {}
    for side in _SIDES:
        word = settings.get(f"{side}_prefix")
        if word:
            token = inner.convert_tokens_to_ids(word)
            if token is None or token == inner.unk_token_id:
                what = f"the marker {word!r} of a {side} is not in its vocabulary"
                raise ArtifactError(what, where=str(folder))
            markers[side] = int(token)
    prompts = {"query": "", "document": ""} | dict(settings.get("prompts") or {})
    made = Tokenizer(inner, prompts=prompts, lengths={}, limit=limit, markers=markers)
    totals = {
        "query": settings.get("query_length", 32),
        "document": settings.get("document_length", 180),
    }
    made.lengths = extra.get("lengths") or {
        side: (int(total) if total else limit) - made.before(side, prompts[side])
        for side, total in totals.items()
    }
    return made


def _marker(inner: Any, tokenizer: Tokenizer, side: str) -> str:
    token = tokenizer.markers.get(side)
    return "" if token is None else str(inner.convert_ids_to_tokens(token))


def _check_chain(head: list[Projection], hidden: int, folder: Path) -> None:
    size = hidden
    for layer in head:
        if layer.linear.in_features != size:
            what = f"a Dense takes {layer.linear.in_features} dimensions where {size} come in"
            raise ArtifactError(what, where=str(folder))
        size = layer.linear.out_features
