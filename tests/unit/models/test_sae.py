"""Top-K autoencoders against the same formulas with the whole dictionary at once."""

from __future__ import annotations

import pytest
import torch

from trivet.core.errors import ConfigError
from trivet.models import products
from trivet.models.sae import TopK


def made(dim=8, latents=24, k=3, seed=0):
    sae = TopK(dim, latents, k).double()
    sae.draw(seed)
    torch.manual_seed(seed)
    sae.center.data = torch.randn(dim, dtype=torch.float64) * 0.1
    return sae


def dense(sae, vectors):
    """(T, M) weights, from all products."""
    products = (vectors - sae.center) @ sae.encoder.T
    kept = torch.zeros_like(products, dtype=torch.bool)
    kept.scatter_(1, products.topk(sae.k, 1).indices, True)
    return torch.where(kept, products, 0).relu()


def gradients(sae, value):
    return torch.autograd.grad(value, list(sae.parameters()))


@pytest.mark.parametrize("held", [1, 50, 1 << 20])
def test_weights_rebuilding_and_gradients_are_those_of_the_whole_dictionary(held, monkeypatch):
    monkeypatch.setitem(products._HELD, "cpu", held)
    sae = made()
    sae.encoder.data += torch.randn_like(sae.encoder) * 0.1
    vectors = torch.randn(17, 8, dtype=torch.float64)
    weights = dense(sae, vectors)
    wanted = weights @ sae.decoder + sae.center
    active = sae.encode(vectors)
    torch.testing.assert_close(
        torch.zeros_like(weights).scatter(1, active.latents, active.weights), weights
    )
    found = sae.decode(active)
    torch.testing.assert_close(found, wanted)
    pairs = zip(
        gradients(sae, (found - vectors).square().mean()),
        gradients(sae, (wanted - vectors).square().mean()),
        strict=True,
    )
    for one, other in pairs:
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_the_encoder_begins_as_the_decoder_and_the_seed_decides_both():
    sae = made(seed=1)
    assert torch.equal(sae.encoder, sae.decoder) and sae.decoder.std() > 0
    assert torch.equal(sae.decoder, made(seed=1).decoder)
    assert not torch.equal(sae.decoder, made(seed=2).decoder)


def test_no_vectors_have_no_latents():
    active = made().encode(torch.empty(0, 8, dtype=torch.float64))
    assert active.latents.shape == active.weights.shape == (0, 3)


@pytest.mark.parametrize("k", [0, 25])
def test_more_latents_than_there_are_cannot_be_kept(k):
    with pytest.raises(ConfigError, match="24"):
        TopK(8, 24, k)
