"""How good a finished autoencoder is, on texts: for the manifest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trivet.core.ragged import Ragged
from trivet.models.latent import Latent
from trivet.models.packed import micro_batches
from trivet.models.sae import Active


@torch.inference_mode()
def judge(model: Latent, batches: Iterable[Ragged]) -> dict[str, Any]:
    """How well batches of texts are rebuilt, and how much of the dictionary is used.

    `fvu` is the share of their variance that is missing; `cosine` is of a vector and its
    rebuilding; `l0` counts latents above 0 in a token; `alive` is the share of latents seen at all.
    `document_frequency` is a curve: the share of texts that the latent of a rank stands in.
    """
    squares, sums, errors, cosines, active, count = 0.0, torch.zeros(()), 0.0, 0.0, 0, 0
    texts = 0
    frequencies = torch.zeros(model.vocabulary, dtype=torch.int64)
    for tokens in batches:
        texts += len(tokens)
        for group in micro_batches(model.encoder, tokens.lengths, model.budget):
            own = tokens.select(group).to(model.device)
            hidden = model.hidden(own)
            found = model.sae.encode(hidden)
            rebuilt = model.sae.decode(found)
            squares += float(hidden.double().square().sum())
            sums = sums + hidden.double().sum(0).cpu()
            errors += float((rebuilt - hidden).double().square().sum())
            cosines += float(torch.cosine_similarity(rebuilt, hidden).sum())
            active += int((found.weights > 0).sum())
            frequencies += texts_with(found, own.lengths, model.vocabulary).cpu()
            count += len(hidden)
    variance = squares - float(sums.square().sum()) / count
    return {
        "tokens": count,
        "fvu": errors / variance,
        "cosine": cosines / count,
        "l0": active / count,
        "alive": float((frequencies > 0).float().mean()),
        "document_frequency": _curve(np.sort(frequencies.numpy())[::-1] / max(1, texts)),
    }


def texts_with(active: Active, lengths: Tensor, latents: int) -> Tensor:
    """In how many texts, of so many tokens each, every latent stands, (M,)."""
    owners = torch.repeat_interleave(lengths.to(active.latents.device))[:, None]  # (T, 1)
    keys = (owners * latents + active.latents)[active.weights > 0].unique()
    return (keys % latents).bincount(minlength=latents)


def _curve(shares: NDArray[np.float64]) -> list[list[float]]:
    """[rank, share] at ranks 1, 2, 4, … as long as there is something."""
    ranks = [1 << power for power in range(len(shares).bit_length())]
    return [[rank, round(float(shares[rank - 1]), 6)] for rank in ranks if shares[rank - 1] > 0]
