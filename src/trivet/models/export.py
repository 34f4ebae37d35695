"""A model in the layout of another library, each equal to ours in the tests.

Artifacts are in PyLate's and sentence-transformers' layout already; an export leaves what is
trivet's own behind, or brings what other runtimes need.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, cast

from torch import nn

from trivet.core.errors import ArtifactError, ConfigError
from trivet.core.files import read_json
from trivet.models.colbert import ColBERT
from trivet.models.colbert_layout import load_colbert, save_colbert
from trivet.models.dense import Dense
from trivet.models.heads import Projection, one_map, refuse_beyond
from trivet.models.latent import Latent, fingerprint, load_encoder, load_latent, save_latent
from trivet.models.layout import load_dense, save_dense
from trivet.models.multi_vector import save_multi_vector
from trivet.models.onnx import check_onnx, save_onnx
from trivet.models.sae_lens import CONFIG, load_lens, save_lens
from trivet.models.splade import SpladeModel, load_splade

Format = Literal["pylate", "sentence-transformers", "onnx", "sae-lens", "latent"]

LAST = "last_hidden_state"  # what an autoencoder is of


def load_any(folder: Path) -> Dense | ColBERT | SpladeModel:
    """Read a model of whichever kind its modules make it."""
    path = folder / "modules.json"
    modules = cast("list[dict[str, Any]]", read_json(path)) if path.is_file() else []
    names = {str(module["type"]).rpartition(".")[2] for module in modules}
    if "MLMTransformer" in names:
        return load_splade(folder)
    if names & {"Dense", "Gated"} and "Pooling" not in names:
        return load_colbert(folder)
    return load_dense(folder)


def export(
    source: Path, out: Path, form: Format, *, fold: bool = False, sae: Path | None = None
) -> None:
    """Write a model into a folder that exists; `fold`: a linear head as the one map that it is.

    `sae`: the autoencoder that SAELens trained on its hidden states, for the format `latent`.
    """
    if (sae is not None) != (form == "latent"):
        fix = "Give --sae with --format latent, and only there"
        raise ConfigError("an autoencoder of SAELens makes a model of latent terms", where="--sae",
                          fix=fix)  # fmt: skip
    if sae is not None:
        dense = load_encoder(source)
        made = load_lens(sae)
        _check_encoder(dense.encoder, read_json(sae / CONFIG).get("metadata") or {}, sae)
        save_latent(Latent(dense.encoder, made, dense.tokenizer), out)
        return
    if form == "sae-lens":
        latent = load_latent(source)
        facts = {"hook_name": LAST, "encoder": fingerprint(latent.encoder)}
        save_lens(latent.sae, out, facts)
        return
    if form == "onnx":
        check_onnx()
    model = load_any(source)
    if fold:
        if not isinstance(model, ColBERT):
            raise ConfigError("only a ColBERT model has a head to fold", where="--fold")
        model.head = nn.Sequential(one_map(_layers(model)))
    if form == "onnx":
        save_onnx(model, out)
    elif isinstance(model, ColBERT):
        fix = "Choose --format onnx, which holds any head"
        refuse_beyond(_layers(model), where=f"--format {form}", fix=fix)
        write = save_colbert if form == "pylate" else save_multi_vector
        write(model, out)
    elif isinstance(model, Dense) and form == "sentence-transformers":
        save_dense(model, out)
    else:
        kind = "a dense model" if isinstance(model, Dense) else "a SPLADE model"
        fix = "Choose sentence-transformers or onnx" if isinstance(model, Dense) else "Choose onnx"
        raise ConfigError(f"{kind} has no such layout", where=f"--format {form}", fix=fix)


def _layers(model: ColBERT) -> list[Projection]:
    return [cast("Projection", layer) for layer in model.head]


def _check_encoder(encoder: Any, facts: dict[str, Any], sae: Path) -> None:
    """Refuse an autoencoder that says it is of another encoder, or of a layer before the last."""
    own = fingerprint(encoder)
    if facts.get("encoder", own) != own:
        fix = "Give the encoder that it was trained on"
        raise ArtifactError("is of another encoder", where=str(sae), fix=fix)
    hook = str(facts.get("hook_name", LAST))
    found = re.fullmatch(r"(?:.*\.)?(\d+)(?:\..*)?", hook)
    layers = int(encoder.config.num_hidden_layers)
    if found and int(found[1]) != layers - 1:
        what = f"is of {hook}, and the last of {layers} layers is read"
        raise ArtifactError(what, where=str(sae), fix="Train one on the last layer")
