"""What a latent model's encoder may come from: a ColBERT model, and an autoencoder of SAELens."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from trivet.core.errors import ArtifactError, ConfigError
from trivet.core.places import asset
from trivet.models.backbone import Fresh
from trivet.models.colbert import ColBERT, add_markers
from trivet.models.colbert_layout import load_colbert, save_colbert
from trivet.models.export import export
from trivet.models.heads import Projection
from trivet.models.latent import fingerprint, load_encoder, load_latent
from trivet.models.loading import load_tokenizer
from trivet.models.packed import hidden_states
from trivet.models.sae import TopK
from trivet.models.sae_lens import save_lens
from trivet.models.tokens import Tokenizer

SHAPE = {
    "model_type": "bert",
    "vocab_size": 30530,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "initializer_range": 0.5,
}
TEXTS = ["red apples", "a green field of green grass", ""]


@pytest.fixture
def colbert(tmp_path):
    encoder, _ = Fresh(SHAPE, seed=0).load()
    inner = load_tokenizer(asset("tokenizers/bert-base-uncased"))
    markers = add_markers(encoder, inner)
    tokenizer = Tokenizer(inner, prompts={"query": "", "document": ""}, markers=markers,
                          lengths={"query": 6, "document": 12}, limit=32)  # fmt: skip
    folder = tmp_path / "colbert"
    folder.mkdir()
    save_colbert(ColBERT(encoder, nn.Sequential(Projection(16, 8)), tokenizer), folder)
    return folder


@pytest.fixture
def lens(tmp_path):
    sae = TopK(16, 64, 4)
    sae.draw(0)
    folder = tmp_path / "lens"
    folder.mkdir()
    save_lens(sae, folder, {})
    return folder


@pytest.mark.parametrize("side", ["query", "document"])
def test_a_colbert_models_texts_read_as_they_did(colbert, side):
    model, found = load_colbert(colbert), load_encoder(colbert)
    wanted = model.tokenizer(TEXTS, side).ids
    tokens = found.tokenizer(TEXTS, side).ids
    assert [row.tolist() for row in tokens] == [row.tolist() for row in wanted]
    assert found.tokenizer.total(side) == model.tokenizer.total(side)


@torch.inference_mode()
def test_an_autoencoder_of_saelens_stands_behind_a_colbert_models_raw_hidden_states(
    colbert, lens, tmp_path
):
    out = tmp_path / "latent"
    out.mkdir()
    export(colbert, out, "latent", sae=lens)
    made, model = load_latent(out).eval(), load_colbert(colbert).eval()
    tokens = model.tokenizer(TEXTS, "document").ids
    (states,) = hidden_states(model.encoder, tokens, pad=0)
    torch.testing.assert_close(made.hidden(made.tokenizer(TEXTS, "document").ids), states)
    assert len(made(tokens)) == 3 and made.vocabulary == 64
    again = tmp_path / "again"
    again.mkdir()
    export(out, again, "sae-lens")
    assert (again / "sae_weights.safetensors").read_bytes() == (
        lens / "sae_weights.safetensors"
    ).read_bytes()


def test_an_autoencoder_of_other_dimensions_or_none_is_told(colbert, tmp_path):
    sae = TopK(8, 64, 4)
    sae.draw(0)
    (tmp_path / "lens").mkdir()
    save_lens(sae, tmp_path / "lens", {})
    with pytest.raises(ArtifactError, match="takes 8 dimensions, its encoder has 16"):
        export(colbert, tmp_path, "latent", sae=tmp_path / "lens")
    with pytest.raises(ConfigError) as caught:
        export(colbert, tmp_path, "latent")
    assert caught.value.where == "--sae"


def test_an_autoencoder_that_says_it_is_of_another_encoder_or_layer_is_refused(colbert, tmp_path):
    def refused(folder, facts, what):
        sae = TopK(16, 64, 4)
        sae.draw(0)
        (tmp_path / folder).mkdir()
        save_lens(sae, tmp_path / folder, facts)
        with pytest.raises(ArtifactError, match=what):
            export(colbert, tmp_path, "latent", sae=tmp_path / folder)

    refused("other", {"encoder": "0123456789abcdef"}, "is of another encoder")
    refused("layer", {"hook_name": "blocks.3.hook_resid_post"}, "is of blocks.3.* the last of 1")


def test_what_is_written_for_saelens_names_its_encoder(colbert, lens, tmp_path):
    for name in ("latent", "again", "back"):
        (tmp_path / name).mkdir()
    export(colbert, tmp_path / "latent", "latent", sae=lens)
    export(tmp_path / "latent", tmp_path / "again", "sae-lens")
    export(colbert, tmp_path / "back", "latent", sae=tmp_path / "again")  # its own encoder
    path = tmp_path / "again/cfg.json"
    config = json.loads(path.read_text())
    assert config["metadata"]["encoder"] == fingerprint(load_encoder(colbert).encoder)
    del config["k"]
    path.write_text(json.dumps(config))
    with pytest.raises(ArtifactError, match=r"cfg\.json: no k"):
        export(colbert, tmp_path, "latent", sae=tmp_path / "again")
