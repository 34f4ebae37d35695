import numpy as np
import pytest
import torch

from trivet.core.errors import ArtifactError, ConfigError, TrivetError
from trivet.core.machine import Machine
from trivet.core.maxsim import reference
from trivet.core.records import Corpus
from trivet.models.colbert_layout import save_colbert
from trivet.models.layout import save_dense
from trivet.retrieval import colbert as room
from trivet.retrieval.cache import Cache
from trivet.retrieval.colbert import ColbertRetriever
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
    place = tmp_path_factory.mktemp("dense")
    save_dense(tiny(), place)
    with pytest.raises(ArtifactError, match="its modules are Transformer, Pooling"):
        ColbertRetriever(str(place)).load()
    with pytest.raises(TrivetError, match="before index"):
        ColbertRetriever("m").search(["q"], ["fox"], 1)
    with pytest.raises(TrivetError, match="empty"):
        ColbertRetriever("m").index(Corpus([], [], []))
