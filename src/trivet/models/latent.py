"""Latent terms: what a frozen encoder's token vectors are made of, counted like words.

Clavié et al., "Latent Terms" (https://arxiv.org/abs/2605.29384): a sparse autoencoder takes each
token's last hidden state apart, and a text's terms are the latents of its tokens, added up.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from trivet.core.errors import ArtifactError, ConfigError
from trivet.core.files import read_json
from trivet.core.ragged import Ragged, concatenate
from trivet.models.colbert_layout import load_colbert
from trivet.models.dense import Dense
from trivet.models.layout import load_dense, save_dense, write_plain
from trivet.models.loading import read_weights
from trivet.models.packed import hidden_states, micro_batches
from trivet.models.sae import TopK
from trivet.models.sae_kinds import empty
from trivet.models.tokens import Tokenizer

Pooling = Literal["sum", "max"]
FOLDER = "sae"


class Latent(nn.Module):
    """An encoder and the autoencoder of its hidden states."""

    def __init__(self, encoder: Any, sae: TopK, tokenizer: Tokenizer, budget: int = 8192) -> None:
        """`budget`: tokens per micro-batch."""
        super().__init__()
        self.encoder, self.sae, self.tokenizer, self.budget = encoder, sae, tokenizer, budget

    @property
    def vocabulary(self) -> int:
        """The number of terms."""
        return self.sae.latents

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def hidden(self, tokens: Ragged) -> Tensor:
        """Last hidden states of one micro-batch's tokens, (T, D) in fp32; kept ones as they are."""
        if tokens.values.ndim == 2:
            return tokens.values.float()
        (states,) = hidden_states(self.encoder, tokens, pad=self.tokenizer.pad)
        return states.float()

    def states(self, texts: Ragged, budget: int, dtype: torch.dtype) -> Ragged:
        """Of N texts the hidden states, on the CPU, read in micro-batches of so many tokens."""
        found: list[Tensor] = [torch.empty(0)] * len(texts)
        for group in micro_batches(self.encoder, texts.lengths, budget):
            own = texts.select(group)
            made = Ragged(self.hidden(own.to(self.device)).to("cpu", dtype), own.offsets)
            for row, bag in zip(group.tolist(), made, strict=True):
                found[row] = bag
        return Ragged.of(found)

    def forward(self, tokens: Ragged, pooling: Pooling = "sum") -> Ragged:
        """Of N texts their terms and what they weigh, (terms, 2), ascending, in the order given."""
        groups = micro_batches(self.encoder, tokens.lengths, self.budget)
        parts = [self._terms(tokens.select(group).to(self.device), pooling) for group in groups]
        if not parts:
            return Ragged(torch.empty(0, 2), tokens.offsets)
        return concatenate(parts).select(torch.argsort(torch.cat(groups)))

    def _terms(self, tokens: Ragged, pooling: Pooling) -> Ragged:
        latents, weights = self.sae.encode(self.hidden(tokens))
        device = latents.device
        owners = torch.repeat_interleave(tokens.lengths.to(device))  # (T,)
        kept = ~(weights <= 0)  # what is no number is kept, to be noticed
        keys = (owners[:, None] * self.vocabulary + latents)[kept]
        found, places = keys.unique(return_inverse=True)
        summed = torch.zeros(len(found), device=device).scatter_reduce_(
            0, places, weights[kept].float(), "amax" if pooling == "max" else "sum"
        )
        counts = (found // self.vocabulary).bincount(minlength=len(tokens))
        offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        terms = (found % self.vocabulary).float()  # below 2^24, so exact
        return Ragged(torch.stack([terms, summed], 1).cpu(), offsets.cpu())


def save_latent(model: Latent, folder: Path) -> None:
    """Write the autoencoder, and beside it the encoder that it belongs to, as a dense model."""
    from safetensors.torch import save_file

    _check(model.sae, int(model.encoder.config.hidden_size), folder)
    save_dense(Dense(model.encoder, model.tokenizer), folder)
    (folder / FOLDER).mkdir()
    tensors = {name: value.contiguous() for name, value in model.sae.state_dict().items()}
    save_file(tensors, folder / FOLDER / "model.safetensors")
    facts = {"bias": "bias" in tensors, "layer": "last", "encoder": fingerprint(model.encoder)}
    write_plain(folder / FOLDER / "config.json", model.sae.shape | facts)


def load_latent(folder: Path) -> Latent:
    """Read what `save_latent` wrote."""
    path = folder / FOLDER / "config.json"
    if not path.is_file():
        fix = "Give what stage sae made"
        raise ArtifactError("holds no sparse autoencoder", where=str(folder), fix=fix)
    dense = load_dense(folder)
    config = cast("dict[str, Any]", read_json(path))
    missing = {"kind", "dim", "latents", "k"} - set(config)
    if missing:
        raise ArtifactError(f"no {min(missing)}", where=str(path), fix="Get the model again")
    if config.get("layer", "last") != "last":
        what = f"its autoencoder is of layer {config['layer']}, and the last is read"
        raise ArtifactError(what, where=str(path), fix="Train one on the last layer")
    try:
        sae = empty(config)
    except ConfigError as error:
        raise ArtifactError(str(error), where=str(path), fix="Get the model again") from None
    if config.get("bias"):
        sae.bias = torch.zeros(sae.latents)
    weights = folder / FOLDER / "model.safetensors"
    try:
        sae.load_state_dict(read_weights(weights))
    except RuntimeError:
        what = "these are not the weights that config.json describes"
        raise ArtifactError(what, where=str(weights), fix="Get the model again") from None
    _check(sae, dense.dim, folder)
    own = fingerprint(dense.encoder)
    if config.get("encoder", own) != own:
        fix = "Put it beside the encoder that it was trained on, or train one on this encoder"
        raise ArtifactError("its autoencoder is of another encoder", where=str(folder), fix=fix)
    return Latent(dense.encoder, sae, dense.tokenizer).eval()  # BatchTopK: not by its neighbours


def fingerprint(model: nn.Module) -> str:
    """A digest of an encoder's weights, or of an autoencoder's."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def _check(sae: TopK, dim: int, folder: Path) -> None:
    if sae.decoder.shape[1] != dim:
        what = f"its autoencoder takes {sae.decoder.shape[1]} dimensions, its encoder has {dim}"
        raise ArtifactError(what, where=str(folder))


def load_encoder(folder: Path) -> Dense:
    """The encoder of a dense or a ColBERT model, as a dense one; its raw last hidden states count.

    A ColBERT model's head is left out, and its markers become the prompts of a side, so that texts
    read as they did; queries are not filled up.
    """
    path = folder / "modules.json"
    modules = cast("list[dict[str, Any]]", read_json(path)) if path.is_file() else []
    names = {str(module["type"]).rpartition(".")[2] for module in modules}
    if "Pooling" in names or not names & {"Dense", "Gated"}:
        return load_dense(folder)
    model = load_colbert(folder)
    inner, own = model.tokenizer.inner, model.tokenizer
    marks = {side: str(inner.convert_ids_to_tokens(mark)) for side, mark in own.markers.items()}
    prompts = {side: marks.get(side, "") + own.prompts.get(side, "") for side in own.lengths}
    made = Tokenizer(inner, prompts=prompts, lengths=own.lengths, limit=own.limit, lower=own.lower)
    for side, mark in own.markers.items():
        if int(mark) not in made([""], side).ids.values.tolist():
            what = f"its marker {marks[side]!r} cannot be written as a text"
            raise ArtifactError(what, where=str(folder), fix="Take the model it was made from")
    return Dense(model.encoder, made)
