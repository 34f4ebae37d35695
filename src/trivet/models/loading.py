"""Encoders and tokenizers from a local folder, with quiet loaders and clear refusals."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import logging as hf_logging

from trivet.core.errors import ArtifactError
from trivet.models.attention import NAME as ATTENTION

log = logging.getLogger("trivet")


def load_encoder(folder: Path) -> Any:
    """A Hugging Face encoder in fp32, from safetensors only; missing weights are an error."""
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
        encoder, info = AutoModel.from_pretrained(folder, **options)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ArtifactError(_first_line(error), where=str(folder)) from None
    except Exception as error:  # safetensors raises its own class for a broken file
        raise ArtifactError(_first_line(error), where=str(folder)) from None
    missing = sorted(name for name in info["missing_keys"] if "pooler" not in name)
    if missing:
        raise ArtifactError(
            f"{len(missing)} weights are missing, the first is {missing[0]}", where=str(folder)
        )
    if info["mismatched_keys"]:
        raise ArtifactError("weights of another shape than the config says", where=str(folder))
    return without_pooler(encoder)


def load_tokenizer(folder: str | Path) -> PreTrainedTokenizerBase:
    """A fast tokenizer, its stored padding and truncation left aside."""
    _quiet()
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
