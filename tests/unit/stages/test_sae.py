"""Training a sparse autoencoder of a tiny frozen encoder."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from trivet.core.artifact import Store
from trivet.core.errors import ConfigError, DataError, Interrupted
from trivet.core.machine import Machine
from trivet.core.run import Run, Work
from trivet.core.tracker import Jsonl
from trivet.data.columns import Columns
from trivet.data.mixture import Mixture
from trivet.data.sources import Source
from trivet.mining import activations
from trivet.models.backbone import Fresh
from trivet.models.latent import load_latent
from trivet.models.layout import load_dense
from trivet.models.sae_training import Rebuilt
from trivet.optim.adamw import AdamW
from trivet.optim.schedule import Schedule
from trivet.stages.sae import Sae
from trivet.stages.start import Lengths, Start
from trivet.training import callbacks
from trivet.training.settings import Fit

WORDS = ["red", "green", "blue", "black", "white", "brown", "grey", "pink"]
SHAPE = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "initializer_range": 0.3,
}


def work(tmp_path, stage, resume="auto"):
    run = Run(tmp_path, "run", {}, Store(tmp_path / "store"), tmp_path / "cache", Machine("cpu"),
              Jsonl(), resume)  # fmt: skip
    return Work(run, stage, stage[0] * 64, {})


@pytest.fixture
def parent(tmp_path):
    stage = Start(backbone=Fresh(SHAPE, seed=0), lengths=Lengths(8, 16))
    return stage.run(None, work(tmp_path, "start"))


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "texts.jsonl"
    lines = [{"text": f"{a} and {b}"} for a in WORDS for b in WORDS]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    source = Source("words", Columns(text="text"), path=str(path))
    return Mixture([source], epochs=4)


def stopped(folder, parent, data, monkeypatch, options):
    """A run that ends after five steps."""
    done = callbacks.Steps.on_step_end

    def stop(self, args, state, control, **more):
        out = done(self, args, state, control, **more)
        if state.global_step == 5:
            raise Interrupted("stopped", signal=15)
        return out

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.Steps, "on_step_end", stop)
        with pytest.raises(Interrupted):
            stage(data, **options).run(parent, work(folder, "sae"))


def stage(data, precision="fp32", **options):
    fit = Fit(batch=16, precision=precision, log_every=1, save_every=4)
    return Sae(data=data, optim=AdamW(lr=1e-2, schedule=Schedule("constant")), fit=fit, latents=64,
               k=4, **options)  # fmt: skip


@pytest.mark.parametrize("kind", ["streamed", "stored"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_learns_to_rebuild_and_the_encoder_stays_as_it_was(
    tmp_path, parent, data, precision, kind
):
    place = work(tmp_path, "sae")
    made = stage(data, precision, activations=kind).run(parent, place)
    losses = [json.loads(x)["loss"] for x in place.metrics.read_text("utf-8").splitlines()]
    assert losses[-1] < 0.5 * losses[0]
    facts = made.manifest["sae"]
    assert facts["fvu"] < 0.5 and facts["cosine"] > 0.7 and 0 < facts["l0"] <= 4
    assert 0 < facts["alive"] <= 1 and facts["tokens"] > 64
    assert made.manifest["trained_on"] == ["words"]
    before, after = load_dense(parent.path).encoder, load_latent(made.path).encoder
    for name, weight in before.state_dict().items():
        assert torch.equal(weight, after.state_dict()[name]), name


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "batch_topk", "aux_k": 4, "dead_after": 50},
        {"kind": "jump_relu", "center": "mean"},
        {"widths": [8, 16], "unit_norm": True, "center": "mean"},
    ],
    ids=["batch_topk", "jump_relu", "nested"],
)
def test_every_kind_learns_resumes_exactly_and_loads(tmp_path, parent, data, monkeypatch, options):
    place = work(tmp_path / "whole", "sae")
    whole = stage(data, **options).run(parent, place)
    lines = [json.loads(x) for x in place.metrics.read_text("utf-8").splitlines()]
    first, last = lines[0], lines[-1]
    assert last["fvu"] < 0.8 * first["fvu"] and 0 < last["l0"] < 32, (first, last)
    assert {"fvu", "cosine", "l0", "dead"} <= set(lines[-1]) and 0 < last["alive"] <= 1
    assert 1 >= last["document_frequency/1"] >= last["document_frequency/16"] >= 0
    ranks, curve = zip(*whole.manifest["sae"]["document_frequency"], strict=True)
    assert list(ranks) == [1 << i for i in range(len(ranks))]
    assert list(curve) == sorted(curve, reverse=True) and 0 < curve[0] <= 1
    stopped(tmp_path / "cut", parent, data, monkeypatch, options)
    made = stage(data, **options).run(parent, work(tmp_path / "cut", "sae"))
    one, other = load_latent(whole.path).sae, load_latent(made.path).sae
    assert type(one).kind == options.get("kind", "topk")
    for name, weight in one.state_dict().items():
        assert torch.equal(weight, other.state_dict()[name]), name
    if options.get("unit_norm"):
        assert torch.allclose(one.decoder.norm(dim=1), torch.ones(64))


@pytest.mark.parametrize("buffer", [1, 3, 8])
def test_stored_activations_are_the_same_stream_rounded_to_16_bits(
    tmp_path, parent, data, monkeypatch, buffer
):
    seen = {"streamed": [], "stored": []}
    done = Rebuilt.forward

    def noted(self, tokens):
        seen[kind].append((self.frozen(tokens).clone(), tokens.offsets.clone()))
        return done(self, tokens)

    monkeypatch.setattr(Rebuilt, "forward", noted)
    losses = {}
    for kind in seen:
        place = work(tmp_path / kind, "sae")
        stage(data, activations=kind, buffer=buffer).run(parent, place)
        lines = place.metrics.read_text("utf-8").splitlines()
        losses[kind] = [json.loads(line)["loss"] for line in lines]
    assert len(seen["stored"]) == len(seen["streamed"]) == 16
    for (one, ends), (other, same) in zip(seen["streamed"], seen["stored"], strict=True):
        assert torch.equal(ends, same)
        assert torch.equal(other, other.half().float())
        torch.testing.assert_close(other, one, rtol=2**-11, atol=1e-5)  # half a unit of fp16
    assert losses["stored"] == pytest.approx(losses["streamed"], rel=0.05)


def test_stored_activations_are_made_once_and_a_damaged_shard_anew(
    tmp_path, parent, data, monkeypatch
):
    monkeypatch.setattr(activations, "_SHARD", 24)
    made = []
    done = activations._encoded

    def counted(*args):
        made.append(args[2][0])
        if len(made) == 2:
            raise KeyboardInterrupt
        return done(*args)

    monkeypatch.setattr(activations, "_encoded", counted)
    place = work(tmp_path, "sae")
    with pytest.raises(KeyboardInterrupt):
        stage(data, activations="stored").run(parent, place)
    first = stage(data, activations="stored").run(parent, work(tmp_path, "sae"))
    assert made == [0, 24, 24, 48]
    (damaged, *_) = sorted((tmp_path / "cache/activations").glob("*/*.safetensors"))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    other = work(tmp_path / "again", "sae")
    other.run.cache.parent.mkdir(exist_ok=True)
    (tmp_path / "cache").rename(other.run.cache)
    again = stage(data, activations="stored").run(parent, other)
    assert made == [0, 24, 24, 48, 0]
    for name, weight in load_latent(first.path).sae.state_dict().items():
        assert torch.equal(weight, load_latent(again.path).sae.state_dict()[name]), name


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"widths": [64]}, "widths"),
        ({"aux_k": -1}, "aux_k"),
        ({"aux_k": 65}, "aux_k"),
        ({"buffer": 0}, "buffer"),
        ({"widths": [8, 16, 8]}, "widths"),
        ({"pressure": -1.0}, "pressure"),
        ({"pressure": 5.0}, "pressure"),
    ],
)
def test_settings_that_train_nothing_are_refused(data, options, where):
    with pytest.raises(ConfigError) as caught:
        stage(data, **options)
    assert caught.value.where == where


def test_the_share_of_missing_variance_is_that_of_numpy(tmp_path, parent, data):
    made = stage(data).run(parent, work(tmp_path, "sae"))
    model = load_latent(made.path).eval()
    texts = [f"{a} and {b}" for a in WORDS for b in WORDS]  # as often as each epoch has them
    with torch.inference_mode():
        hidden = model.hidden(model.tokenizer(texts, "document").ids).double()
        rebuilt = model.sae.decode(model.sae.encode(hidden.float())).double()
    wanted = (hidden - rebuilt).square().sum() / (hidden - hidden.mean(0)).square().sum()
    assert made.manifest["sae"]["fvu"] == pytest.approx(float(wanted), rel=1e-4)


@pytest.mark.parametrize("kind", ["streamed", "stored"])
def test_an_encoder_that_gives_no_numbers_is_blamed_itself(tmp_path, data, kind):
    place = work(tmp_path, "start")
    parent = Start(backbone=Fresh(SHAPE, seed=0), lengths=Lengths(8, 16)).run(None, place)
    weights = load_file(parent.path / "model.safetensors")
    name = next(name for name in weights if name.endswith("word_embeddings.weight"))
    weights[name][:] = torch.nan
    save_file(weights, parent.path / "model.safetensors")
    with pytest.raises(DataError, match="hidden states are not finite numbers. Look at the model"):
        stage(data, activations=kind).run(parent, work(tmp_path, "sae"))


@pytest.mark.parametrize("options", [{"buffer": 1}, {"buffer": 7}, {"activations": "stored"}])
def test_a_run_that_was_stopped_goes_on_to_the_same_weights(
    tmp_path, parent, data, monkeypatch, options
):
    whole = stage(data, **options).run(parent, work(tmp_path / "whole", "sae"))
    stopped(tmp_path / "cut", parent, data, monkeypatch, options)
    made = stage(data, **options).run(parent, work(tmp_path / "cut", "sae"))
    for name, weight in load_latent(whole.path).sae.state_dict().items():
        assert torch.equal(weight, load_latent(made.path).sae.state_dict()[name]), name


def test_more_latents_a_token_than_there_are_is_refused(data):
    with pytest.raises(ConfigError, match="64 latents") as caught:
        stage(data).__class__(data=data, optim=AdamW(lr=1e-2, schedule=Schedule("constant")),
                              fit=Fit(batch=16, precision="fp32"), latents=64, k=65)  # fmt: skip
    assert caught.value.where == "k"


def test_without_a_model_there_is_nothing_to_take_apart(data):
    with pytest.raises(ConfigError, match="no model"):
        stage(data).accept(has_parent=False)


def test_dead_latents_that_there_cannot_be_are_told(tmp_path, parent, data, caplog):
    stage(data, aux_k=8).run(parent, work(tmp_path / "few", "sae"))
    assert "aux_k does nothing: a latent is dead after 10,000,000 tokens" in caplog.text
    caplog.clear()
    stage(data, aux_k=8, dead_after=10).run(parent, work(tmp_path / "many", "sae"))
    assert "aux_k does nothing" not in caplog.text
