"""Autoencoders in the layout of SAELens (https://github.com/decoderesearch/SAELens): both ways.

A folder holds cfg.json and sae_weights.safetensors: W_enc (D, M), W_dec (M, D), b_enc (M,),
b_dec (D,), and of jumprelu a threshold (M,). What it does by switches (products scaled by the
length of a direction, an input that is not centred) is folded into the weights here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trivet.core.errors import ArtifactError
from trivet.core.files import read_json
from trivet.models.layout import write_plain
from trivet.models.loading import read_weights
from trivet.models.sae import TopK
from trivet.models.sae_batch_topk import BatchTopK
from trivet.models.sae_jump_relu import JumpReLU

CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"


def save_lens(sae: TopK, folder: Path, facts: dict[str, Any]) -> None:
    """Write an autoencoder; `facts` stand under `metadata`. BatchTopK is a jumprelu, as there."""
    from safetensors.torch import save_file

    bias = torch.zeros(sae.latents) if sae.bias is None else sae.bias
    tensors = {
        "W_enc": sae.encoder.detach().T.contiguous(),
        "W_dec": sae.decoder.detach().contiguous(),
        "b_enc": bias,
        "b_dec": sae.center.detach(),
    }
    config = {
        "architecture": "topk",
        "d_in": sae.decoder.shape[1],
        "d_sae": sae.latents,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": facts,
    }
    if isinstance(sae, BatchTopK | JumpReLU):
        config["architecture"] = "jumprelu"
        if isinstance(sae, JumpReLU):
            tensors["threshold"] = sae.log_threshold.detach().exp()
        else:
            tensors["threshold"] = sae.threshold.clamp(min=0).expand(sae.latents).contiguous()
    else:
        config |= {"k": sae.k, "rescale_acts_by_decoder_norm": False}
    save_file(tensors, folder / WEIGHTS)
    write_plain(folder / CONFIG, config)


def load_lens(folder: Path) -> TopK:
    """Read an autoencoder that SAELens wrote: topk, or jumprelu (which its batchtopk becomes)."""
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            fix = "Give a folder that SAELens saved an autoencoder in"
            raise ArtifactError(f"no {name}", where=str(folder), fix=fix)
    config: dict[str, Any] = read_json(folder / CONFIG)
    kind = str(config.get("architecture"))
    if kind not in ("topk", "jumprelu"):
        fix = "There is: topk and jumprelu"
        raise ArtifactError(f"an autoencoder of kind {kind}", where=str(folder), fix=fix)
    for name in ("normalize_activations", "reshape_activations"):
        if config.get(name, "none") != "none":
            fix = "Fold it into the weights with SAELens first"
            raise ArtifactError(f"needs {name}={config[name]}", where=str(folder), fix=fix)
    if kind == "topk" and "k" not in config:
        raise ArtifactError("no k", where=str(folder / CONFIG), fix="Say how many are active")
    weights = {name: value.float() for name, value in read_weights(folder / WEIGHTS).items()}
    return _filled(kind, config, weights, folder)


def _filled(kind: str, config: dict[str, Any], weights: dict[str, Tensor], folder: Path) -> TopK:
    wanted = {"W_enc", "W_dec", "b_enc", "b_dec", *(["threshold"] if kind == "jumprelu" else [])}
    if set(weights) != wanted:
        apart = ", ".join(sorted(set(weights) ^ wanted))
        raise ArtifactError(f"its tensors are others than {kind} has: {apart}", where=str(folder))
    encoder, decoder = weights["W_enc"].T.contiguous(), weights["W_dec"]
    bias, center = weights["b_enc"], weights["b_dec"]
    latents, dim = decoder.shape
    if config.get("rescale_acts_by_decoder_norm"):
        lengths = decoder.norm(dim=1, keepdim=True)
        encoder, decoder, bias = encoder * lengths, decoder / lengths, bias * lengths[:, 0]
    if not config.get("apply_b_dec_to_input", True):
        bias = bias + encoder @ center
    if kind == "topk":
        sae = TopK(dim, latents, int(config["k"]))
    else:
        sae = JumpReLU(dim, latents, min(16, latents))  # k is an aim of training only
        sae.log_threshold.data.copy_(weights["threshold"].clamp(min=0).log())
    sae.encoder.data.copy_(encoder)
    sae.decoder.data.copy_(decoder)
    sae.center.data.copy_(center)
    sae.bias = bias if bool(bias.any()) else None
    return sae
