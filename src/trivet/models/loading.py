"""Encoders and tokenizers from a local folder, with quiet loaders and clear refusals."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import logging as hf_logging

from trivet.core.errors import ArtifactError
from trivet.models.attention import NAME as ATTENTION

log = logging.getLogger("trivet")


def load_encoder(folder: Path) -> Any:
    """A Hugging Face encoder in fp32, from safetensors only; missing weights are an error."""
    encoder, missing = _load(AutoModel, folder)
    missing = [name for name in missing if "pooler" not in name]
    if missing:
        raise ArtifactError(
            f"{len(missing)} weights are missing, the first is {missing[0]}", where=str(folder)
        )
    return without_pooler(encoder)


def load_masked_lm(folder: Path) -> Any:
    """An encoder with its masked-language-model head, as `load_encoder` loads one without.

    What is tied to the embeddings may be missing: it is not stored twice.
    """
    model, missing = _load(AutoModelForMaskedLM, folder)
    head = [name for name in missing if not name.startswith(f"{model.base_model_prefix}.")]
    if head:
        what = f"{len(head)} weights of its masked-language-model head are missing"
        fix = "Give a model that was saved with its head, as SPLADE models are"
        raise ArtifactError(f"{what}, the first is {head[0]}", where=str(folder), fix=fix)
    if missing:
        raise ArtifactError(
            f"{len(missing)} weights are missing, the first is {missing[0]}", where=str(folder)
        )
    return model


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file that must be whole."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    fix = "Get the model again, or make it again"
    if not path.is_file():
        raise ArtifactError(f"no {path.name}", where=str(path.parent), fix=fix)
    try:
        return load_file(path)
    except SafetensorError:
        raise ArtifactError("is damaged", where=str(path), fix=fix) from None


def _load(auto: Any, folder: Path) -> tuple[Any, list[str]]:
    """A model in fp32 and the names of the weights that the folder lacks."""
    _quiet()
    if not (folder / "config.json").is_file():
        raise ArtifactError("no config.json: not a model folder", where=str(folder))
    options: dict[str, Any] = {
        "dtype": torch.float32,
        "use_safetensors": True,
        "trust_remote_code": False,
        "output_loading_info": True,
        "local_files_only": True,
        "attn_implementation": ATTENTION,
    }
    try:
        model, info = auto.from_pretrained(folder, **options)
    except Exception as error:  # safetensors raises its own class for a broken file
        raise ArtifactError(_first_line(error), where=str(folder)) from None
    if info["mismatched_keys"]:
        raise ArtifactError("weights of another shape than the config says", where=str(folder))
    return model, sorted(info["missing_keys"])


def load_classifier(folder: Path) -> Any:
    """A cross-encoder in fp32: an encoder whose trained head gives one number."""
    from transformers import AutoModelForSequenceClassification

    model, missing = _load(AutoModelForSequenceClassification, folder)
    _refuse_missing(missing, folder, "Give a model that was trained with such a head")
    if model.config.num_labels != 1:
        what = f"its head has {model.config.num_labels} labels, a cross-encoder's has one"
        raise ArtifactError(what, where=str(folder))
    return model


def load_causal(folder: Path) -> Any:
    """A causal language model in fp32, with its head."""
    from transformers import AutoModelForCausalLM

    model, missing = _load(AutoModelForCausalLM, folder)
    _refuse_missing(missing, folder, "Give a causal language model, saved with its head")
    return model


def _refuse_missing(missing: list[str], folder: Path, fix: str) -> None:
    if missing:
        names = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        raise ArtifactError(f"no weights for {names}", where=str(folder), fix=fix)


def load_tokenizer(folder: str | Path) -> PreTrainedTokenizerBase:
    """A fast tokenizer, its stored padding and truncation left aside."""
    _quiet()
    if not any(vocabulary_files(Path(folder))):  # without one, some classes start with no words
        fix = "Copy tokenizer.json, or vocab.txt and its like, from where the model comes from"
        raise ArtifactError("no tokenizer's vocabulary", where=str(folder), fix=fix)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
    except Exception as error:  # the loaders raise many classes, and every one means the same here
        raise ArtifactError(
            f"no tokenizer can be loaded ({_first_line(error)})", where=str(folder)
        ) from None
    if not tokenizer.is_fast:
        raise ArtifactError("only fast tokenizers (tokenizer.json) are used", where=str(folder))
    return tokenizer


def load_both(folder: Path) -> tuple[Any, PreTrainedTokenizerBase]:
    """An encoder and the tokenizer beside it, which must have no token that the other lacks."""
    encoder, tokenizer = load_encoder(folder), load_tokenizer(folder)
    refuse_foreign(tokenizer, int(encoder.get_input_embeddings().num_embeddings), str(folder))
    return encoder, tokenizer


def refuse_foreign(tokenizer: Any, vocabulary: int, where: str) -> None:
    """Refuse a tokenizer with tokens that an encoder has no row for: it is another's."""
    if len(tokenizer) > vocabulary:
        what = f"its tokenizer has {len(tokenizer)} tokens, its encoder {vocabulary}"
        fix = "Give it the tokenizer that it was trained with"
        raise ArtifactError(what, where=where, fix=fix)


def vocabulary_files(folder: Path) -> list[Path]:
    """The files that a folder's tokenizer is made from: one in full, or what came before it."""
    whole = folder / "tokenizer.json"
    names = ("vocab.txt", "vocab.json", "merges.txt", "*.model", "*.tiktoken")
    found = [path for name in names for path in sorted(folder.glob(name))]
    return [whole] if whole.is_file() else found


def without_pooler(encoder: Any) -> Any:
    """Drop BERT's pooler: retrieval never uses it, so nothing would train it."""
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None
    return encoder


def _quiet() -> None:
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
