"""Latent terms against sums over tokens and textbook BM25."""

from __future__ import annotations

import json
import math
import shutil

import bm25s
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from trivet.core.errors import ArtifactError, ConfigError, TrivetError
from trivet.core.machine import Machine
from trivet.core.places import asset
from trivet.core.ragged import Ragged
from trivet.core.records import Corpus
from trivet.models.backbone import Fresh
from trivet.models.dense import Dense
from trivet.models.latent import Latent as Model
from trivet.models.latent import load_latent, save_latent
from trivet.models.layout import save_dense
from trivet.models.loading import load_tokenizer
from trivet.models.sae import TopK
from trivet.models.sae_kinds import empty
from trivet.models.tokens import Tokenizer
from trivet.retrieval.cache import Cache
from trivet.retrieval.latent import Latent
from trivet.retrieval.protocol import Adaptable, Retriever

SHAPE = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "initializer_range": 0.5,
}
DOCUMENTS = ["red apples", "a green field of green grass", "blue", "the sea is blue and deep", ""]
QUERIES = ["green apples", "deep blue sea"]


@pytest.fixture(scope="module")
def model():
    encoder, _ = Fresh(SHAPE, seed=0).load()
    inner = load_tokenizer(asset("tokenizers/bert-base-uncased"))
    tokenizer = Tokenizer(
        inner,
        prompts={"query": "", "document": ""},
        lengths={"query": 16, "document": 16},
        limit=32,
    )
    sae = TopK(16, 40, 3)
    sae.draw(0)
    return Model(encoder, sae, tokenizer).eval()


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    place = tmp_path_factory.mktemp("latent")
    save_latent(model, place)
    return place


@torch.inference_mode()
def terms(model, text, side, pooling="sum"):
    """{latent: weight}, a token at a time."""
    ids = model.tokenizer([text], side).ids
    found = {}
    for vector in model.hidden(ids):
        products = model.sae.encoder @ (vector - model.sae.center)
        for latent in products.topk(3).indices.tolist():
            weight = max(0.0, float(products[latent]))
            if weight:
                old = found.get(latent, 0.0)
                found[latent] = old + weight if pooling == "sum" else max(old, weight)
    return found


def scaled(weight, scale):
    return {
        "root": math.sqrt(weight),
        "log": math.log1p(weight),
        "none": weight,
        "binary": 1.0,
        "counts": float(round(weight)),
    }[scale]


def bm25(queries, documents, k1, b, idf, least=1, most=1.0, power=1.0):
    """Scores (Q, N) from {latent: weight} each; robertson counts what is below 0 as 0."""
    count = len(documents)
    lengths = [sum(document.values()) for document in documents]
    out = np.zeros((len(queries), count))
    for i, query in enumerate(queries):
        for latent, asked in query.items():
            n = sum(document.get(latent, 0) > 0 for document in documents)
            if n < least or n > most * count:
                continue
            ratio = (count - n + 0.5) / (n + 0.5)
            rarity = math.log(1 + ratio) if idf == "lucene" else max(0.0, math.log(ratio))
            for j, document in enumerate(documents):
                weight = document.get(latent, 0.0)
                norm = k1 * (1 - b + b * lengths[j] / (sum(lengths) / count))
                out[i, j] += asked * rarity**power * weight / max(weight + norm, 1e-12)
    return out


def searched(folder, documents=DOCUMENTS, queries=QUERIES, **options):
    """Scores (Q, N), 0 where a document was not found."""
    made = Latent(str(folder), machine=Machine("cpu"), **options)
    ids = [f"d{i}" for i in range(len(documents))]
    made.index(Corpus(ids, [""] * len(documents), list(documents)))
    ranking = made.search([f"q{i}" for i in range(len(queries))], queries, len(documents))
    out = np.zeros((len(queries), len(documents)))
    for i, (rows, values) in enumerate(zip(ranking.rows, ranking.scores, strict=True)):
        out[i, rows[rows >= 0]] = values[rows >= 0]
    return out, made


@pytest.mark.parametrize("pooling", ["sum", "max"])
@pytest.mark.parametrize("scale", ["root", "log", "none", "binary", "counts"])
@pytest.mark.parametrize("idf", ["robertson", "lucene"])
def test_scores_are_those_of_the_formula(model, folder, pooling, scale, idf):
    def weighed(text, side):
        found = terms(model, text, side, pooling)
        return {latent: scaled(weight, scale) for latent, weight in found.items()}

    bags = {
        side: [weighed(text, side) for text in texts]
        for side, texts in (("query", QUERIES), ("document", DOCUMENTS))
    }
    wanted = bm25(bags["query"], bags["document"], 2.0, 0.6, idf)
    found, _ = searched(folder, pooling=pooling, scale=scale, idf=idf, k1=2.0, b=0.6)
    assert wanted.max() > 0
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("power", [0.0, 0.4, 2.0])
def test_rarity_weighs_as_much_as_its_power_says(model, folder, power):
    bags = [
        [{t: math.sqrt(w) for t, w in terms(model, text, side).items()} for text in texts]
        for side, texts in (("query", QUERIES), ("document", DOCUMENTS))
    ]
    wanted = bm25(*bags, 2.0, 0.6, "lucene", power=power)
    found, made = searched(folder, idf="lucene", idf_power=power, k1=2.0, b=0.6)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert made.describe()["idf_power"] == power


@pytest.mark.parametrize(("least", "most"), [(1, 0.4), (2, 1.0), (2, 0.6), (5, 1.0)])
def test_latents_of_too_few_or_too_many_documents_count_nothing(model, folder, least, most):
    bags = {
        side: [{t: math.sqrt(w) for t, w in terms(model, text, side).items()} for text in texts]
        for side, texts in (("query", QUERIES), ("document", DOCUMENTS))
    }
    wanted = bm25(bags["query"], bags["document"], 8.0, 0.7, "lucene", least, most)
    found, made = searched(folder, idf="lucene", least_documents=least, most_share=most)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert wanted.max() < bm25(bags["query"], bags["document"], 8.0, 0.7, "lucene").max()
    assert (made.describe()["least_documents"], made.describe()["most_share"]) == (least, most)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_kept_states_serve_other_dictionaries_and_change_nothing(
    model, folder, tmp_path, monkeypatch, precision
):
    kept = {"precision": precision, "keep_states": True, "cache": Cache(folder=str(tmp_path))}
    plain, _ = searched(folder, precision=precision)
    found, made = searched(folder, **kept)
    assert np.array_equal(found, plain)
    sae = TopK(model.sae.decoder.shape[1], model.sae.latents, 2)
    sae.draw(5)
    save_latent(Model(model.encoder, sae, model.tokenizer), tmp_path / "other")
    wanted, _ = searched(tmp_path / "other", precision=precision)

    def never(*_, **__):
        raise AssertionError("the encoder reads again")

    monkeypatch.setattr("trivet.models.latent.hidden_states", never)
    other, _ = searched(tmp_path / "other", **kept)
    assert np.array_equal(other, wanted) and not np.array_equal(other, plain)


@pytest.mark.parametrize("idf", ["robertson", "lucene"])
def test_integer_counts_score_as_bm25s_scores_words(model, folder, idf):
    """A query's weights are counts, too, so each of its terms is asked for as often."""
    counts = {
        side: [{t: round(w) for t, w in terms(model, text, side).items()} for text in texts]
        for side, texts in (("query", QUERIES), ("document", DOCUMENTS))
    }
    words = [[str(t) for t, n in bag.items() for _ in range(n)] for bag in counts["document"]]
    scorer = bm25s.BM25(method=idf, k1=1.5, b=0.75)
    scorer.index(words, show_progress=False)
    known = {word for text in words for word in text}
    wanted = np.zeros((len(QUERIES), len(DOCUMENTS)))
    for i, bag in enumerate(counts["query"]):
        for latent, asked in bag.items():
            if asked and str(latent) in known:
                wanted[i] += asked * scorer.get_scores([str(latent)])
    found, _ = searched(folder, scale="counts", idf=idf, k1=1.5, b=0.75)
    assert wanted.max() > 0
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_terms_do_not_depend_on_what_else_is_encoded(model):
    tokens = model.tokenizer(DOCUMENTS, "document").ids
    together = model(tokens)
    for i, text in enumerate(DOCUMENTS):
        alone = model(tokens.select(torch.tensor([i])))[0]
        torch.testing.assert_close(together[i], alone, rtol=1e-4, atol=1e-5)
        wanted = terms(model, text, "document")
        assert {int(t): pytest.approx(float(w), rel=1e-4) for t, w in alone} == wanted
        assert alone[:, 0].tolist() == sorted(alone[:, 0].tolist())


def test_only_the_heaviest_terms_are_kept(model, folder):
    _, made = searched(folder, top_terms={"document": 2, "query": 1})
    facts = made.describe()
    assert facts["document_terms"] <= 2 and facts["query_terms"] == 1
    assert facts["kind"] == "latent" and (facts["k1"], facts["b"]) == (8.0, 0.7)
    assert isinstance(made, Retriever) and isinstance(made, Adaptable)


def test_what_is_saved_is_what_is_loaded(model, folder):
    tokens = model.tokenizer(DOCUMENTS, "document").ids
    torch.testing.assert_close(load_latent(folder)(tokens).values, model(tokens).values)


@pytest.mark.parametrize("kind", ["batch_topk", "jump_relu"])
def test_dictionaries_of_other_kinds_are_searched_too(model, tmp_path, kind):
    sae = empty({"kind": kind, "dim": 16, "latents": 40, "k": 3})
    sae.draw(0)
    vectors = model.hidden(model.tokenizer(DOCUMENTS, "document").ids).detach()
    sae.settle(vectors)
    sae.encode(vectors)  # BatchTopK learns its threshold
    save_latent(Model(model.encoder, sae.eval(), model.tokenizer), tmp_path)
    cache = Cache(folder=str(tmp_path / "cache"))
    for _ in range(2):  # made, and found again
        scores, _ = searched(tmp_path, queries=["blue"], cache=cache)
        assert scores[0].argmax() == DOCUMENTS.index("blue")
    among, _ = searched(tmp_path, queries=["blue", *QUERIES, *DOCUMENTS[:4]], cache=cache)
    assert among[0] == pytest.approx(scores[0], rel=1e-5)  # its neighbours change nothing


def test_a_dictionary_that_was_exchanged_is_noticed_whatever_its_manifest_says(
    model, folder, tmp_path
):
    place = tmp_path / "model"
    shutil.copytree(folder, place)
    (place / "manifest.json").write_text(json.dumps({"key": "k", "stage": "sae"}))
    kept = {"cache": Cache(folder=str(tmp_path / "cache"))}
    before, _ = searched(place, **kept)
    sae = TopK(16, 40, 3)
    sae.draw(7)
    wanted = tmp_path / "wanted"
    save_latent(Model(model.encoder, sae, model.tokenizer), wanted)
    shutil.copy(wanted / "sae/model.safetensors", place / "sae/model.safetensors")
    after, _ = searched(place, **kept)
    assert np.array_equal(after, searched(wanted)[0]) and not np.array_equal(after, before)


@pytest.mark.parametrize(
    ("config", "what"), [({"k": None}, "no k"), ({"layer": 0}, "of layer 0, and the last is read")]
)
def test_a_config_that_lacks_something_or_is_of_another_layer_is_told(
    folder, tmp_path, config, what
):
    shutil.copytree(folder, tmp_path / "model")
    path = tmp_path / "model/sae/config.json"
    facts = json.loads(path.read_text()) | config
    path.write_text(json.dumps({name: value for name, value in facts.items() if value is not None}))
    with pytest.raises(ArtifactError, match=what):
        load_latent(tmp_path / "model")


def test_a_file_that_was_cut_off_is_named(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "model")
    path = tmp_path / "model/sae/model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match=r"sae/model\.safetensors: is damaged"):
        load_latent(tmp_path / "model")
    path.unlink()
    with pytest.raises(ArtifactError, match=r"sae: no model\.safetensors"):
        load_latent(tmp_path / "model")


@pytest.mark.parametrize("harm", ["shape", "another", "kind"])
def test_a_dictionary_that_its_config_does_not_describe_is_told(folder, tmp_path, harm):
    place = tmp_path / "harmed"
    shutil.copytree(folder, place)
    config, weights = place / "sae/config.json", place / "sae/model.safetensors"
    tensors = load_file(weights)
    if harm == "shape":
        tensors["encoder"] = tensors["encoder"][:-1].contiguous()
    elif harm == "another":
        tensors["gate"] = torch.zeros(3)
    else:
        config.write_text(json.dumps(json.loads(config.read_text()) | {"kind": "gated"}))
    save_file(tensors, weights)
    with pytest.raises(ArtifactError, match="no gated|not the weights that config.json"):
        load_latent(place)


def test_a_document_that_activates_nothing_is_never_found(model, tmp_path, caplog):
    mute = Model(model.encoder, TopK(16, 40, 3), model.tokenizer).eval()
    mute.sae.encoder.data.zero_()
    mute.sae.decoder.data.zero_()
    save_latent(mute, tmp_path)
    found, made = searched(tmp_path)
    assert not found.any() and made.describe()["document_terms"] == 0
    assert "5 of 5 documents hold no term" in caplog.text
    assert "no latent counts anything" in caplog.text


def test_vectors_that_are_no_numbers_end_with_one_line(model, tmp_path):
    broken = Model(model.encoder, TopK(16, 40, 3), model.tokenizer).eval()
    broken.sae.draw(0)
    broken.sae.center.data.fill_(float("nan"))
    save_latent(broken, tmp_path)
    with pytest.raises(TrivetError, match="no number"):
        searched(tmp_path)


def test_a_model_without_an_autoencoder_is_refused(model, tmp_path):
    save_dense(Dense(model.encoder, model.tokenizer), tmp_path)
    with pytest.raises(ArtifactError, match="no sparse autoencoder"):
        load_latent(tmp_path)


def test_an_autoencoder_of_another_encoder_is_refused(model, tmp_path):
    sae = TopK(8, 40, 3)
    sae.draw(0)
    with pytest.raises(ArtifactError, match="8 dimensions"):
        save_latent(Model(model.encoder, sae, model.tokenizer), tmp_path)
    other, _ = Fresh(SHAPE, seed=1).load()
    for name, encoder in (("one", model.encoder), ("two", other)):
        (tmp_path / name).mkdir()
        save_latent(Model(encoder, model.sae, model.tokenizer), tmp_path / name)
    shutil.copy(tmp_path / "two/model.safetensors", tmp_path / "one/model.safetensors")
    with pytest.raises(ArtifactError, match="of another encoder"):
        load_latent(tmp_path / "one")


@pytest.mark.parametrize("options", [{"k1": -1.0}, {"b": 1.5}, {"top_terms": {"doc": 3}},
                                     {"idf_power": -1.0}, {"least_documents": 0},
                                     {"most_share": 0.0}])  # fmt: skip
def test_settings_that_make_no_formula_are_refused(folder, options):
    with pytest.raises(ConfigError):
        Latent(str(folder), **options)


def test_no_texts_have_no_terms(model):
    assert model(Ragged.of([])).values.shape == (0, 2)
