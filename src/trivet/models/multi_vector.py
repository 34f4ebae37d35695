"""ColBERT models in the layout of sentence-transformers 6, for its `MultiVectorEncoder(path)`.

It reads PyLate's layout too. Here a marker stands in the prompt, as text that the tokenizer keeps
whole, and mask and normalisation are modules of their own (https://sbert.net). `load_colbert` reads
such a model by what `in_pylates_words` makes of its files.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, cast

from trivet.core.errors import ArtifactError
from trivet.core.files import read_json
from trivet.models.colbert import ColBERT
from trivet.models.heads import Projection, save_projection
from trivet.models.layout import read_optional, save_encoder, write_plain

_BASE = "sentence_transformers.base.modules"
_MASK = "sentence_transformers.multi_vector_encoder.modules.multi_vector_mask.MultiVectorMask"
_CORE = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
_TOKENS = {"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"}


def save_multi_vector(model: ColBERT, folder: Path) -> None:
    """Write a ColBERT model whose head has no gates; the folder must exist."""
    tokenizer = model.tokenizer
    inner, markers = _with_whole_markers(tokenizer.inner, tokenizer.markers)
    save_encoder(model.encoder, folder)
    inner.save_pretrained(folder)
    modules = [("", f"{_BASE}.transformer.Transformer")]
    for i, layer in enumerate(model.head, 1):
        path = folder / f"{i}_Dense"
        path.mkdir()
        save_projection(cast("Projection", layer), path)
        write_plain(path / "config.json", {**read_json(path / "config.json"), **_TOKENS})
        modules.append((path.name, f"{_BASE}.dense.Dense"))
    words = inner.convert_ids_to_tokens(model.skip)
    for name, kind, settings in (
        ("MultiVectorMask", _MASK, {"skiplist_words": words, "skiplist_tasks": ["document"]}),
        ("Normalize", f"{_BASE}.normalize.Normalize", _TOKENS),
    ):
        path = folder / f"{len(modules)}_{name}"
        path.mkdir()
        write_plain(path / "config.json", settings)
        modules.append((path.name, kind))
    described = [
        {"idx": i, "name": str(i), "path": path, "type": kind}
        for i, (path, kind) in enumerate(modules)
    ]
    write_plain(folder / "modules.json", described)
    write_plain(folder / "sentence_bert_config.json", _reading(model))
    prompts = {side: markers.get(side, "") + text for side, text in tokenizer.prompts.items()}
    write_plain(
        folder / "config_sentence_transformers.json",
        {
            "model_type": "MultiVectorEncoder",
            "prompts": prompts,
            "default_prompt_name": None,
            "similarity_fn_name": "maxsim",
        },
    )


def in_pylates_words(folder: Path, inside: Path, mask: Path, inner: Any) -> dict[str, Any]:
    """What a model's files say of markers, lengths, expansion and skipped tokens.

    `inside` is its encoder's folder, `mask` that of its MultiVectorMask, `inner` its tokenizer.
    """
    reading = read_optional(inside / "sentence_bert_config.json")
    skipped = read_optional(mask / "config.json")
    words: list[str] = skipped.get("skiplist_words") or []
    expansion: dict[str, Any] = reading.get("query_expansion") or {}
    filling = expansion.get("token")
    for odd, what in (
        (expansion.get("strategy", "fixed") != "fixed", "queries filled up to no fixed length"),
        (filling not in (None, inner.mask_token, inner.mask_token_id), f"{filling!r} as a filling"),
        (words and skipped.get("skiplist_tasks") != ["document"], "tokens skipped of queries"),
    ):
        if odd:
            fix = "Only trivet's and PyLate's ways of late interaction are read"
            raise ArtifactError(f"has {what}", where=str(folder), fix=fix)
    settings = read_optional(folder / "config_sentence_transformers.json")
    core = {str(inner.special_tokens_map.get(f"{name}_token")) for name in _CORE}
    own = sorted(set(inner.get_added_vocab()) - core, key=len, reverse=True)
    made: dict[str, Any] = {"prompts": {}}
    for side in ("query", "document"):
        prompt = str((settings.get("prompts") or {}).get(side) or "")
        word = next((word for word in own if word and prompt.startswith(word)), "")
        made[f"{side}_prefix"], made["prompts"][side] = word, prompt.removeprefix(word)
        made[f"{side}_length"] = reading.get(f"{side}_length")
    if expansion:
        made["query_length"] = expansion["length"]
    return made | {
        "do_query_expansion": bool(expansion),
        "attend_to_expansion_tokens": bool(expansion.get("attend")),
        "skiplist_words": words,
    }


def _reading(model: ColBERT) -> dict[str, Any]:
    """How texts become tokens; lengths count all of them, as PyLate's do."""
    query, document = (model.tokenizer.total(side) for side in ("query", "document"))
    attend = model.expansion == "mask_attend"
    expansion = {"strategy": "fixed", "attend": attend, "length": query}
    return {
        "transformer_task": "feature-extraction",
        "modality_config": {
            "text": {"method": "forward", "method_output_name": "last_hidden_state"}
        },
        "module_output_name": "token_embeddings",
        "do_lower_case": model.tokenizer.lower,
        "document_length": document,
        **({"query_length": query} if model.expansion == "none" else {}),
        "query_expansion": None if model.expansion == "none" else expansion,
    }


def _with_whole_markers(inner: Any, markers: dict[str, int]) -> tuple[Any, dict[str, str]]:
    """A tokenizer that finds the markers in a text, and the words that they are."""
    from transformers import AddedToken

    words = {side: str(inner.convert_ids_to_tokens(token)) for side, token in markers.items()}
    if words:
        inner = copy.deepcopy(inner)
        whole = [AddedToken(word, normalized=False, special=True) for word in words.values()]
        inner.add_special_tokens({"additional_special_tokens": whole})
    return inner, words
