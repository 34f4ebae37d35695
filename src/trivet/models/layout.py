"""Dense models on disk, in the layout that plain `SentenceTransformer(path)` loads.

Weights are safetensors only. What that layout has no place for (content lengths of each side)
stands in trivet.json beside it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from trivet.core.errors import ArtifactError, nearest
from trivet.core.files import read_json, write_json
from trivet.models.dense import Dense, Pooling
from trivet.models.loading import load_both
from trivet.models.tokens import Tokenizer

EXTRA = "trivet.json"
_POOLING: dict[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
}


def save_encoder(encoder: Any, folder: Path) -> None:
    """Write an encoder under an attention that every loader knows."""
    implementation = encoder.config._attn_implementation
    encoder.set_attn_implementation("sdpa")  # ours is unknown to whoever loads this
    encoder.save_pretrained(folder)
    encoder.set_attn_implementation(implementation)


def save_dense(model: Dense, folder: Path) -> None:
    """Write a dense model; the folder must exist."""
    tokenizer = model.tokenizer
    save_encoder(model.encoder, folder)
    tokenizer.inner.save_pretrained(folder)
    longest = max(tokenizer.total("query"), tokenizer.total("document"))
    modules = ["Transformer", "Pooling", *(["Normalize"] if model.normalize else [])]
    paths = ["", "1_Pooling", "2_Normalize"]
    described = [
        {
            "idx": i,
            "name": str(i),
            "path": paths[i],
            "type": f"sentence_transformers.models.{name}",
        }
        for i, name in enumerate(modules)
    ]
    write_plain(folder / "modules.json", described)
    write_plain(
        folder / "sentence_bert_config.json",
        {"max_seq_length": longest, "do_lower_case": tokenizer.lower},
    )
    write_plain(
        folder / "config_sentence_transformers.json",
        {
            "model_type": "SentenceTransformer",
            "prompts": tokenizer.prompts,
            "default_prompt_name": None,
            "similarity_fn_name": "cosine" if model.normalize else "dot",
        },
    )
    modes = {mode: name == model.pooling for mode, name in _POOLING.items()}
    others = ("max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens")
    (folder / "1_Pooling").mkdir()
    write_plain(
        folder / "1_Pooling" / "config.json",
        {
            "word_embedding_dimension": model.dim,
            **modes,
            **{f"pooling_mode_{name}": False for name in others},
            "include_prompt": True,
        },
    )
    if model.normalize:
        (folder / "2_Normalize").mkdir()
        write_plain(folder / "2_Normalize" / "config.json", {})
    write_json(folder / EXTRA, {"lengths": tokenizer.lengths})


def load_dense(folder: Path, *, budget: int = 16384) -> Dense:
    """Read a dense model that trivet or sentence-transformers wrote."""
    if not (folder / "modules.json").is_file():
        fix = "Give a folder or hub id in sentence-transformers layout; a cross-encoder is in none"
        raise ArtifactError(
            "no modules.json: not a sentence-transformers model", where=str(folder), fix=fix
        )
    modules = cast("list[dict[str, Any]]", read_json(folder / "modules.json"))
    names = [str(module["type"]).rpartition(".")[2] for module in modules]
    if names[:2] != ["Transformer", "Pooling"] or set(names[2:]) - {"Normalize"}:
        raise ArtifactError(
            f"its modules are {', '.join(names)}; a dense retriever here is "
            "Transformer, Pooling and perhaps Normalize",
            where=str(folder / "modules.json"),
        )
    inner = folder / str(modules[0]["path"])
    pooling = _read_pooling(folder / str(modules[1]["path"]) / "config.json")
    settings = read_optional(folder / "config_sentence_transformers.json")
    similarity = settings.get("similarity_fn_name") or "cosine"
    encoder, inner_tokenizer = load_both(inner)
    reading = read_optional(inner / "sentence_bert_config.json")
    longest = reading.get("max_seq_length")
    limit = min(int(longest or position_limit(encoder)), position_limit(encoder))
    specials = int(inner_tokenizer.num_special_tokens_to_add())
    lengths = read_optional(folder / EXTRA).get("lengths") or {
        "query": limit - specials,
        "document": limit - specials,
    }
    prompts = {"query": "", "document": ""} | dict(settings.get("prompts") or {})
    lower = bool(reading.get("do_lower_case"))
    tokenizer = Tokenizer(
        inner_tokenizer, prompts=prompts, lengths=dict(lengths), limit=limit, lower=lower
    )
    normalize = "Normalize" in names or similarity == "cosine"
    return Dense(encoder, tokenizer, pooling=pooling, normalize=normalize, budget=budget)


def position_limit(encoder: Any) -> int:
    """The most tokens that an encoder's positions allow."""
    return int(getattr(encoder.config, "max_position_embeddings", 0) or 1_000_000)


def _read_pooling(path: Path) -> Pooling:
    config = read_optional(path)
    if "pooling_mode" in config:
        chosen = [str(config["pooling_mode"])]
    else:
        chosen = [name for name, used in config.items() if name[:13] == "pooling_mode_" and used]
    known = {**_POOLING, "mean": "mean", "cls": "cls", "lasttoken": "last"}
    if len(chosen) != 1 or chosen[0] not in known:
        what = f"pooling {' and '.join(chosen) or 'is not named'}"
        raise ArtifactError(what, where=str(path), fix=nearest("", known))
    return cast("Pooling", known[chosen[0]])


def read_optional(path: Path) -> dict[str, Any]:
    """A JSON object, empty where there is no such file."""
    return cast("dict[str, Any]", read_json(path)) if path.is_file() else {}


def write_plain(path: Path, value: Any) -> None:
    """A JSON file inside a folder that becomes whole later."""
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
