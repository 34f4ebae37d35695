"""SAELens' layout against its own formula, written out here."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from trivet.core.errors import ArtifactError
from trivet.models.sae_kinds import empty
from trivet.models.sae_lens import CONFIG, WEIGHTS, load_lens, save_lens


def theirs(folder, x):
    """Activations and rebuilding, as SAELens computes them: topk_sae.py and jumprelu_sae.py."""
    config, w = json.loads((folder / CONFIG).read_text()), load_file(folder / WEIGHTS)
    centred = x - w["b_dec"] * config["apply_b_dec_to_input"]
    products = centred @ w["W_enc"] + w["b_enc"]
    lengths = w["W_dec"].norm(dim=-1) if config.get("rescale_acts_by_decoder_norm") else 1
    products = products * lengths
    if config["architecture"] == "topk":
        best = products.topk(config["k"], dim=-1)
        acts = torch.zeros_like(products).scatter(-1, best.indices, best.values.relu())
    else:
        acts = products.relu() * (products > w["threshold"])
    return acts, (acts / lengths) @ w["W_dec"] + w["b_dec"]


def ours(sae, x):
    active = sae.eval().encode(x)
    acts = torch.zeros(len(x), sae.latents).scatter_add(1, active.latents, active.weights)
    return acts, sae.decode(active)


def written(folder, kind, *, rescale=False, centred=True, **more):
    torch.manual_seed(0)
    tensors = {"W_enc": torch.randn(8, 64), "W_dec": torch.randn(64, 8) * 2,
               "b_enc": torch.randn(64) * 0.3, "b_dec": torch.randn(8)}  # fmt: skip
    if kind == "jumprelu":
        tensors["threshold"] = torch.rand(64)
    save_file(tensors, folder / WEIGHTS)
    config = {"architecture": kind, "d_in": 8, "d_sae": 64, "apply_b_dec_to_input": centred,
              "normalize_activations": "none", "k": 5, **more}  # fmt: skip
    if kind == "topk":
        config["rescale_acts_by_decoder_norm"] = rescale
    (folder / CONFIG).write_text(json.dumps(config))


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize(("kind", "rescale"), [("topk", True), ("topk", False),
                                               ("jumprelu", False)])  # fmt: skip
@torch.no_grad()
def test_what_was_trained_there_is_the_same_here(tmp_path, kind, rescale, centred):
    written(tmp_path, kind, rescale=rescale, centred=centred)
    x = torch.randn(11, 8)
    for one, other in zip(ours(load_lens(tmp_path), x), theirs(tmp_path, x), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["topk", "batch_topk", "jump_relu"])
@torch.no_grad()
def test_what_was_trained_here_is_the_same_there_and_when_it_comes_back(tmp_path, kind):
    sae = empty({"kind": kind, "dim": 8, "latents": 64, "k": 5})
    sae.draw(0)
    x = torch.randn(11, 8)
    if kind == "batch_topk":
        sae.threshold.fill_(0.4)
        sae.k = 8  # so that no vector has more than it may
    sae.settle(x)
    if kind == "jump_relu":
        sae.log_threshold.data += 0.01  # so that no product lies on it
    save_lens(sae, tmp_path, {"model_name": "x"})
    for found in (theirs(tmp_path, x), ours(load_lens(tmp_path), x)):
        for one, other in zip(ours(sae, x), found, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "more", "what"),
    [("gated", {}, "kind gated"), ("topk", {"normalize_activations": "layer_norm"}, "layer_norm")],
)
def test_what_cannot_be_read_is_told(tmp_path, kind, more, what):
    written(tmp_path, kind, **more)
    with pytest.raises(ArtifactError, match=what):
        load_lens(tmp_path)


def test_a_missing_or_an_unknown_tensor_is_told(tmp_path):
    with pytest.raises(ArtifactError, match=r"no cfg\.json"):
        load_lens(tmp_path)
    written(tmp_path, "topk")
    tensors = load_file(tmp_path / WEIGHTS)
    save_file({**tensors, "scale": torch.ones(1)}, tmp_path / WEIGHTS)
    with pytest.raises(ArtifactError, match="scale"):
        load_lens(tmp_path)


@pytest.mark.parametrize("kind", ["topk", "batch_topk", "jump_relu"])
@torch.no_grad()
def test_sae_lens_itself_reads_what_was_trained_here(tmp_path, kind):
    lens = pytest.importorskip("sae_lens", reason="SAELens is not installed (pip install sae-lens)")
    sae = empty({"kind": kind, "dim": 8, "latents": 64, "k": 5})
    sae.draw(0)
    x = torch.randn(11, 8)
    if kind == "batch_topk":
        sae.threshold.fill_(0.4)
        sae.k = 64
    sae.settle(x)
    save_lens(sae, tmp_path, {"model_name": "x"})
    read = lens.SAE.load_from_disk(tmp_path)
    acts = read.encode(x)
    for one, other in zip(ours(sae, x), (acts, read.decode(acts)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{"rescale_acts_by_decoder_norm": True},
                                     {"apply_b_dec_to_input": False}])  # fmt: skip
@torch.no_grad()
def test_what_sae_lens_itself_saves_is_the_same_here(tmp_path, options):
    lens = pytest.importorskip("sae_lens", reason="SAELens is not installed (pip install sae-lens)")
    made = lens.TopKSAE(lens.TopKSAEConfig(d_in=8, d_sae=64, k=5, **options))
    torch.manual_seed(0)
    for parameter in made.parameters():
        parameter.normal_()
    made.save_model(tmp_path)
    x = torch.randn(11, 8)
    read = lens.SAE.load_from_disk(tmp_path)
    acts = read.encode(x)
    for one, other in zip(ours(load_lens(tmp_path), x), (acts, read.decode(acts)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
