"""Cross-encoders on disk: what transformers and sentence-transformers' CrossEncoder load.

The tokenizer's own limit holds both lengths together, and casing stands in the tokenizer, so every
loader reads the same tokens; each side's length stands in trivet.json beside it. The stored
activation is none: a score is the logit.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoModelForSequenceClassification

from trivet.core.errors import ConfigError
from trivet.core.files import read_json, write_json
from trivet.models.attention import NAME as ATTENTION
from trivet.models.cross_encoder import Cross, has_segments, pair_limit
from trivet.models.layout import EXTRA, read_optional, save_encoder
from trivet.models.loading import load_classifier, load_encoder, load_tokenizer
from trivet.models.pair_tokens import PairTokenizer, check_pairs, lower_case

_DROPOUTS = (  # what configs call it: BERT's kin, then ModernBERT's
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "attention_dropout",
    "embedding_dropout",
    "mlp_dropout",
    "classifier_dropout",
)


def save_cross(model: Cross, folder: Path) -> None:
    """Write a cross-encoder; the folder must exist."""
    config = model.model.config
    config.sentence_transformers = {"activation_fn": "torch.nn.modules.linear.Identity"}
    save_encoder(model.model, folder)
    model.tokenizer.inner.model_max_length = model.tokenizer.total
    model.tokenizer.inner.save_pretrained(folder)
    write_json(folder / EXTRA, {"lengths": model.tokenizer.lengths, "pairs": True})


def load_cross(folder: Path) -> Cross:
    """Read a cross-encoder that trivet wrote."""
    model, inner = load_classifier(folder), load_tokenizer(folder)
    lengths = dict(read_optional(folder / EXTRA)["lengths"])
    return Cross(model, PairTokenizer(inner, lengths=lengths, limit=pair_limit(model)))


def is_cross(folder: Path) -> bool:
    """Whether a folder holds a cross-encoder that trivet wrote."""
    return bool(read_optional(folder / EXTRA).get("pairs"))


def made_cross(
    folder: Path,
    *,
    seed: int,
    lengths: dict[str, int],
    dropout: float | None = None,
    lower: bool | None = None,
) -> Cross:
    """The encoder of any model of trivet with a new head, or a cross-encoder as it is.

    A model's prompts are left behind: the loaders of cross-encoders know none.

    Args:
        folder: a dense, sparse or ColBERT model, or a cross-encoder.
        seed: draws what is new.
        lengths: content tokens; what is not given is the model's own.
        dropout: of all layers and the head; null is the model's own.
        lower: makes texts lower case before the tokenizer; null is the model's own.
    """
    known = is_cross(folder)
    inside = folder if known else _inside(folder)
    source = load_classifier(inside) if known else load_encoder(inside)
    inner = load_tokenizer(inside)
    check_pairs(inner, int(source.config.vocab_size), str(folder))
    reading = read_optional(inside / "sentence_bert_config.json")
    if lower or (lower is None and reading.get("do_lower_case")):
        inner = lower_case(inner)
    config = copy.deepcopy(source.config)
    config.num_labels = 1
    for name in _DROPOUTS if dropout is not None else ():
        if hasattr(config, name):
            setattr(config, name, dropout)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = cast(Any, AutoModelForSequenceClassification).from_config(
            config, attn_implementation=ATTENTION
        )
    target = model if known else getattr(model, model.base_model_prefix)
    missing = target.load_state_dict(source.state_dict(), strict=False).missing_keys
    assert all("pooler" in name for name in missing), missing
    _say_segments(inner, has_segments(model))
    limit = pair_limit(model)
    own = dict(read_optional(folder / EXTRA).get("lengths") or {})
    tokenizer = PairTokenizer(inner, lengths=own | lengths, limit=limit)
    if sum(tokenizer.lengths.values()) + tokenizer.specials > limit:
        both = " and ".join(str(tokenizer.lengths[side]) for side in ("query", "document"))
        what = f"{both} content tokens do not fit the encoder's {limit} positions"
        raise ConfigError(what, where="lengths", fix="Take fewer")
    return Cross(model.float(), tokenizer)


def _say_segments(inner: Any, segments: bool) -> None:
    """Have a tokenizer tell which text a token is of, wherever it is loaded, or not tell it."""
    names = ["input_ids", *(["token_type_ids"] if segments else []), "attention_mask"]
    inner.model_input_names = inner.init_kwargs["model_input_names"] = names


def _inside(folder: Path) -> Path:
    """Where the encoder of a model in sentence-transformers layout lies."""
    if not (folder / "modules.json").is_file():
        return folder
    modules = cast("list[dict[str, Any]]", read_json(folder / "modules.json"))
    return folder / str(modules[0]["path"])
