from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from trivet.core.errors import ArtifactError, ConfigError, TrivetError
from trivet.core.machine import Machine
from trivet.core.maxsim import reference
from trivet.core.ragged import Ragged
from trivet.core.records import Corpus
from trivet.models.colbert_layout import save_colbert
from trivet.models.layout import save_dense
from trivet.retrieval import colbert as room
from trivet.retrieval.cache import Cache
from trivet.retrieval.codes import code_bytes, from_codes, to_codes
from trivet.retrieval.colbert import ColbertRetriever
from trivet.retrieval.pooling import Pooling
from trivet.retrieval.protocol import Adaptable, Retriever

CPU = Machine(device="cpu")


@pytest.fixture
def model(late):
    return late


@pytest.fixture
def folder(model, tmp_path):
    save_colbert(model, tmp_path)
    return str(tmp_path)


@pytest.fixture
def made(folder, tmp_path_factory):
    kept = str(tmp_path_factory.mktemp("kept"))

    def make(**fields):
        return ColbertRetriever(folder, machine=CPU, cache=Cache(folder=kept), **fields)

    return make


def corpus_of(texts):
    return Corpus([f"d{i}" for i in range(len(texts))], [""] * len(texts), list(texts))


def search(retriever, documents, queries, k):
    retriever.index(corpus_of(documents))
    return retriever.search([f"q{i}" for i in range(len(queries))], list(queries), k)


@torch.no_grad()
def brute_force(model, documents, queries):
    tokens = model.tokenizer
    found = [
        model(tokens(texts, side).ids, side)
        for texts, side in ((queries, "query"), (documents, "document"))
    ]
    return reference(*found).numpy()


@pytest.mark.parametrize("shard", [1, 7, 1000])
@pytest.mark.parametrize("k", [1, 8, 100])
def test_the_ranking_is_that_of_two_loops_whatever_the_shard(
    made, model, texts, shard, k, monkeypatch
):
    monkeypatch.setattr(room, "_SHARD", shard)
    documents, queries = texts(40, 0), texts(9, 1)
    found = search(made(keep="float32"), documents, queries, k)
    want = brute_force(model, documents, queries)
    for i in range(len(queries)):
        rows = found.rows[i]
        assert len(set(rows.tolist())) == min(k, 40)
        best = np.sort(want[i])[::-1][: len(rows)]
        np.testing.assert_allclose(found.scores[i], best, atol=1e-5)
        np.testing.assert_allclose(found.scores[i], want[i][rows], atol=1e-5)


def test_half_precision_changes_a_score_by_less_than_a_thousandth(made, model, texts):
    documents, queries = texts(40, 2), texts(9, 3)
    found = search(made(), documents, queries, 40)
    want = brute_force(model, documents, queries)
    exact = np.take_along_axis(want, found.rows, axis=1)
    assert np.abs(found.scores - exact).max() < 1e-3


def test_equal_documents_stand_in_trec_eval_s_order(made):
    found = search(made(), ["fox", "whale", "fox", "fox"], ["fox"], 3)
    assert [name for name, _ in found.of(0)] == ["d3", "d2", "d0"]


def test_a_task_s_lengths_stand_between_the_model_s_and_the_config_s(made):
    retriever = made(lengths={"query": 3})
    assert isinstance(retriever, Retriever) and isinstance(retriever, Adaptable)
    retriever.adapt({"query": 48, "document": 20}, {"query": "ask "})
    assert retriever.load().tokenizer.lengths == {"query": 3, "document": 20}
    assert retriever.describe()["prompts"] == {"query": "ask ", "document": ""}
    retriever.adapt({}, {})
    assert retriever.load().tokenizer.lengths == {"query": 3, "document": 10}
    assert retriever.describe()["prompts"] == {"query": "", "document": ""}


def test_other_lengths_are_other_vectors_and_the_same_ones_are_read_back(made, texts, monkeypatch):
    real, calls = room.encode_shards, []

    def counted(model, some, side, parts, **named):
        calls.extend([side] * len(parts))
        return real(model, some, side, parts, **named)

    monkeypatch.setattr(room, "encode_shards", counted)
    documents = texts(10, 4)
    one = search(made(), documents, ["fox"], 5)
    other = search(made(), documents, ["fox"], 5)
    assert calls.count("document") == 1
    assert (one.scores == other.scores).all() and (one.rows == other.rows).all()
    search(made(lengths={"document": 3}), documents, ["fox"], 5)
    assert calls.count("document") == 2


@torch.no_grad()
def stored_by_hand(model, documents, queries, dim, store, pool):
    """The scores of documents cut, pooled and rounded one by one, and how many vectors are left."""
    bags = []
    for vectors in model(model.tokenizer(documents, "document").ids, "document"):
        vectors = pool.bag(F.normalize(vectors[:, :dim], dim=-1))
        if store == "binary":
            bags.append(torch.where(vectors > 0, 1.0, -1.0))
        else:
            bags.append(from_codes(to_codes(vectors, store), store, dim))
    asked = model(model.tokenizer(queries, "query").ids, "query")
    asked = Ragged(F.normalize(asked.values[:, :dim], dim=-1), asked.offsets)
    return reference(asked, Ragged.of(bags)).numpy(), sum(map(len, bags))


@pytest.mark.parametrize(
    ("dim", "store", "pool", "shard"),
    [
        (16, "float32", Pooling(2), 7),
        (9, "float32", Pooling(), 1000),
        (9, "float16", Pooling(budget=3, protect=0), 1000),
        (16, "int8", Pooling(), 7),
        (9, "int8", Pooling(2, linkage="average"), 7),
        (9, "binary", Pooling(), 1000),
        (16, "binary", Pooling(2, budget=4), 7),
    ],
)
def test_a_smaller_form_is_searched_as_documents_made_smaller_one_by_one(
    made, model, texts, monkeypatch, dim, store, pool, shard
):
    monkeypatch.setattr(room, "_SHARD", shard)
    documents, queries = texts(40, 5), texts(9, 6)
    retriever = made(keep="float32", dim=dim, store=store, pool=pool)
    found = search(retriever, documents, queries, 8)
    want, count = stored_by_hand(model, documents, queries, dim, store, pool)
    best = np.sort(want, axis=1)[:, ::-1][:, :8]
    np.testing.assert_allclose(found.scores, best, atol=1e-3)
    own = np.take_along_axis(want, found.rows, axis=1)
    np.testing.assert_allclose(found.scores, own, atol=1e-3)
    facts = retriever.describe()
    assert (facts["vectors"], facts["bytes_per_vector"]) == (count, code_bytes(dim, store))


def test_the_whole_form_asked_for_by_name_changes_nothing_and_is_kept_once(made, texts):
    documents, queries = texts(40, 7), texts(9, 8)
    plain = made()
    one = search(plain, documents, queries, 10)
    other = search(
        made(dim=16, store="float16", pool=Pooling(1, protect=3)), documents, queries, 10
    )
    assert (one.scores == other.scores).all() and (one.rows == other.rows).all()
    assert len(list(plain.cache.entries())) == 1


def test_every_form_is_made_from_one_encoding_and_found_again(made, texts, monkeypatch):
    real, calls = room.encode_shards, []

    def counted(model, some, side, parts, **named):
        calls.extend([side] * bool(parts))
        return real(model, some, side, parts, **named)

    monkeypatch.setattr(room, "encode_shards", counted)
    whole, documents, queries = made(), texts(30, 9), texts(5, 10)
    forms = [
        made(dim=dim, store=store, pool=pool).form()
        for dim in (16, 8)
        for store in ("float16", "binary")
        for pool in (Pooling(), Pooling(2))
    ]
    first = [search(whole.resized(form), documents, queries, 5) for form in forms]
    assert sorted(calls) == ["document", "query"]
    assert len(list(whole.cache.entries())) == len(forms)  # the whole form is one of them
    monkeypatch.setattr(room, "_packed", lambda form, whole, numbers: iter([]))
    again = [search(whole.resized(form), documents, queries, 5) for form in forms]
    assert sorted(calls) == ["document", "query"]
    for one, other in zip(first, again, strict=True):
        assert (one.scores == other.scores).all() and (one.rows == other.rows).all()


def test_a_form_that_is_read_back_is_as_large_on_disk_as_it_is_said_to_be(made, texts):
    from safetensors import safe_open

    retriever = made(store="int8", pool=Pooling(2))
    search(retriever, texts(30, 11), ["fox"], 5)
    entry = next(entry for entry in retriever.cache.entries() if entry.facts.get("store"))
    (path,) = Path(entry.path).glob("*.safetensors")
    with safe_open(path, "pt") as stream:
        size = stream.get_tensor("vectors").nbytes
    facts = retriever.describe()
    assert facts["vectors"] * facts["bytes_per_vector"] == size


def test_what_was_cut_is_counted(made):
    retriever = made()
    search(retriever, ["fox " * 30, "fox", "whale"], ["hill", "hill " * 9], 2)
    facts = retriever.describe()
    assert facts["truncated_document_share"] == round(1 / 3, 6)
    assert facts["truncated_query_share"] == 0.5
    assert facts["kind"] == "colbert" and facts["dim"] == 16 and facts["expansion"] == "mask"


def test_a_text_without_words_is_no_reason_to_stop(made):
    found = search(made(), ["", "fox"], ["fox", ""], 2)
    assert np.isfinite(found.scores).all() and len(found.of(0)) == 2


def test_bad_settings_and_a_dense_model_are_refused_in_one_line(tiny, tmp_path_factory):
    with pytest.raises(ConfigError, match=r"lengths\.passage"):
        ColbertRetriever("m", lengths={"passage": 3})
    with pytest.raises(ConfigError, match="budget"):
        ColbertRetriever("m", budget=0)
    with pytest.raises(ConfigError, match="dim: must be at least 1"):
        ColbertRetriever("m", dim=0)
    with pytest.raises(
        ConfigError, match=r"store: vectors are kept in float16\. Set .*keep=float32"
    ):
        ColbertRetriever("m", store="float32")
    place = tmp_path_factory.mktemp("dense")
    save_dense(tiny(), place)
    with pytest.raises(ArtifactError, match="its modules are Transformer, Pooling"):
        ColbertRetriever(str(place)).load()
    with pytest.raises(TrivetError, match="before index"):
        ColbertRetriever("m").search(["q"], ["fox"], 1)
    with pytest.raises(TrivetError, match="empty"):
        ColbertRetriever("m").index(Corpus([], [], []))


def test_more_dimensions_than_there_are_are_refused_before_anything_is_encoded(made, monkeypatch):
    monkeypatch.setattr(room, "encode_shards", None)
    with pytest.raises(ConfigError, match=r"retriever\.dim: the model has 16 dimensions"):
        search(made(dim=17), ["fox"], ["fox"], 1)
