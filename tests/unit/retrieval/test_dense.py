import copy
import json

import numpy as np
import pytest
import torch

from trivet.core.errors import ConfigError, TrivetError
from trivet.core.machine import Machine
from trivet.core.records import Corpus
from trivet.models.backbone import Fresh, keep_layers
from trivet.models.layout import save_dense
from trivet.retrieval import encode, stores
from trivet.retrieval.cache import Cache
from trivet.retrieval.dense import DenseRetriever
from trivet.retrieval.protocol import Retriever

CPU = Machine(device="cpu")
SHAPE = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 2,
}


def corpus_of(texts, ids=None):
    return Corpus(ids or [f"d{i}" for i in range(len(texts))], [""] * len(texts), list(texts))


def retriever(model, documents, **fields):
    made = DenseRetriever("in memory", machine=CPU, **fields)
    made.use(model)
    made.index(corpus_of(documents))
    return made


def search(made, queries, k):
    return made.search([f"q{i}" for i in range(len(queries))], list(queries), k)


@pytest.fixture
def folder(tiny, tmp_path):
    """A function that saves a tiny model and names its folder."""

    def save(**fields):
        save_dense(tiny(**fields), tmp_path)
        return str(tmp_path)

    return save


@torch.no_grad()
def vector(model, text, side):
    """One text alone, without padding and in double precision."""
    ids = model.tokenizer([text], side).ids[0]
    hidden = model.encoder(input_ids=ids[None]).last_hidden_state[0].double()
    return hidden.mean(0) / hidden.mean(0).norm()


def test_scores_are_the_cosines_of_brute_force(tiny, texts):
    model = tiny(prompts={"query": "ask: ", "document": "say: "})
    documents, queries = texts(40, 0), texts(12, 1)
    found = search(retriever(model, documents), queries, 40)
    for i, query in enumerate(queries):
        q = vector(model, query, "query")
        want = {f"d{j}": float(q @ vector(model, d, "document")) for j, d in enumerate(documents)}
        assert dict(found.of(i)) == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("chunk", [1, 3, 7, 29, 30, 1000])
@pytest.mark.parametrize("k", [1, 5, 50])
def test_the_ranking_is_that_of_a_full_sort_whatever_the_chunk(
    counting, texts, chunk, k, monkeypatch
):
    documents, queries = texts(30, 2, longest=3), texts(15, 3, longest=3)
    monkeypatch.setattr(stores, "_BLOCK", chunk)
    monkeypatch.setattr(encode, "_CHUNK", 4)
    found = search(retriever(counting, documents, scores=4 * chunk), queries, k)
    with torch.no_grad():
        d, q = (counting(counting.tokenizer(t, "query").ids).tolist() for t in (documents, queries))
    for i, query in enumerate(q):
        scored = [
            (sum(a * b for a, b in zip(query, document, strict=True)), f"d{j}")
            for j, document in enumerate(d)
        ]
        want = [(name, score) for score, name in sorted(scored, reverse=True)[:k]]
        assert found.of(i) == want


def test_lengths_asked_for_go_before_the_models(folder):
    made = DenseRetriever(folder(length=30), lengths={"document": 1}, machine=CPU)
    made.index(corpus_of(["fox whale", "fox hill", "hill fox"]))
    scores = dict(search(made, ["fox"], 3).of(0))
    assert scores["d0"] == pytest.approx(scores["d1"], abs=1e-6)
    assert scores["d0"] != pytest.approx(scores["d2"], abs=1e-3)
    assert made.describe()["lengths"] == {"query": 30, "document": 1}


def test_lengths_beyond_what_the_model_was_used_for_are_read_and_beyond_its_positions_refused(
    folder,
):
    place = folder(length=2)
    made = DenseRetriever(place, lengths={"document": 4}, machine=CPU)
    made.index(corpus_of(["fox hill road hill", "fox hill road fox", "fox hill road hill fox"]))
    assert made.describe()["truncated_document_share"] == pytest.approx(1 / 3, abs=1e-6)
    scores = dict(search(made, ["fox"], 3).of(0))
    assert scores["d0"] == pytest.approx(scores["d2"], abs=1e-6)
    assert scores["d0"] != pytest.approx(scores["d1"], abs=1e-4)
    with pytest.raises(ConfigError, match=r"lengths\.document: 9999 content tokens do not fit"):
        DenseRetriever(place, lengths={"document": 9999}, machine=CPU).load()


def test_prompts_asked_for_go_before_the_models(folder, texts):
    place, documents = folder(prompts={"query": "ask: ", "document": "say: "}), texts(10, 4)
    prompted = DenseRetriever(place, prompts={"query": "find "}, machine=CPU)
    written = DenseRetriever(place, prompts={"query": ""}, machine=CPU)
    prompted.index(corpus_of(documents))
    written.index(corpus_of(documents))
    assert prompted.describe()["prompts"] == {"query": "find ", "document": "say: "}
    ours, theirs = search(prompted, ["fox"], 10), search(written, ["find fox"], 10)
    assert dict(ours.of(0)) == pytest.approx(dict(theirs.of(0)), abs=1e-6)
    assert dict(ours.of(0)) != pytest.approx(dict(search(written, ["fox"], 10).of(0)), abs=1e-4)
    with pytest.raises(ConfigError, match=r"prompts\.query: leaves 0 of \d+ content tokens"):
        DenseRetriever(place, prompts={"query": "find " * 9999}, machine=CPU).load()


def test_the_share_of_texts_that_were_cut_is_told(tiny):
    made = retriever(tiny(length=2), ["fox", "fox hill", "fox hill road", "hill"])
    assert made.describe()["truncated_document_share"] == 0.25
    assert "truncated_query_share" not in made.describe()
    search(made, ["fox hill road", "fox"], 1)
    assert made.describe()["truncated_query_share"] == 0.5


def test_titles_are_encoded(tiny):
    made = retriever(tiny(), ["unused"])
    made.index(Corpus(["a", "b"], ["fox", ""], ["hill", "fox hill"]))
    scores = dict(search(made, ["road"], 2).of(0))
    assert scores["a"] == pytest.approx(scores["b"], abs=1e-6)


def test_half_precision_ranks_nearly_as_full_precision_and_scores_in_fp32(tiny, texts):
    documents, queries = texts(20, 5), texts(5, 6)
    full, half = (
        search(retriever(tiny(), documents, precision=precision), queries, 20)
        for precision in ("fp32", "bf16")
    )
    assert half.scores.dtype == "float32"
    for i in range(5):
        assert dict(half.of(i)) == pytest.approx(dict(full.of(i)), abs=0.02)
    assert half.scores.tolist() != full.scores.tolist()


def test_the_model_itself_is_left_as_it_was(tiny):
    model = tiny().train()
    retriever(model, ["fox"], precision="bf16")
    assert model.training
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_a_second_corpus_takes_the_place_of_the_first(tiny):
    made = retriever(tiny(), ["fox", "hill", "road"])
    made.index(corpus_of(["whale"], ids=["new"]))
    assert [name for name, _ in search(made, ["fox"], 5).of(0)] == ["new"]


@pytest.fixture
def deep(tiny):
    """A tiny model of two layers."""
    encoder, _ = Fresh(SHAPE | {"num_hidden_layers": 2}).load()
    return tiny(encoder=encoder)


def test_a_search_with_the_first_layers_is_that_of_a_model_that_has_no_others(deep, tiny, texts):
    documents, queries = texts(20, 7), texts(4, 8)
    cut = copy.deepcopy(deep.encoder)
    keep_layers(cut, 1)
    alone, first, whole = (
        search(made, queries, 20)
        for made in (
            retriever(tiny(encoder=cut), documents),
            retriever(deep, documents, layers=1),
            retriever(deep, documents),
        )
    )
    assert (first.rows.tolist(), first.scores.tolist()) == (
        alone.rows.tolist(),
        alone.scores.tolist(),
    )
    assert first.scores.tolist() != whole.scores.tolist()
    assert len(deep.encoder.encoder.layer) == deep.encoder.config.num_hidden_layers == 2


def test_vectors_of_fewer_layers_are_kept_apart(deep, texts, tmp_path):
    (tmp_path / "model").mkdir()
    save_dense(deep, tmp_path / "model")
    documents, cache = texts(10, 9), Cache(folder=str(tmp_path / "cache"))

    def scores(layers):
        made = DenseRetriever(str(tmp_path / "model"), layers=layers, cache=cache, machine=CPU)
        made.index(corpus_of(documents))
        assert made.describe().get("layers") == layers
        return search(made, ["fox"], 10).scores.tolist()

    found = {layers: scores(layers) for layers in (None, 1)}
    assert len(list((tmp_path / "cache").iterdir())) == 2
    assert found[None] != found[1]
    assert {layers: scores(layers) for layers in (None, 1)} == found


def test_more_layers_than_there_are_are_refused(deep):
    with pytest.raises(ConfigError, match="between 1 and 2"):
        retriever(deep, ["fox"], layers=3)


def test_it_is_a_retriever_whose_facts_fit_a_ledger_row(folder):
    made = DenseRetriever(folder(), machine=CPU)
    assert isinstance(made, Retriever)
    facts = json.loads(json.dumps(made.describe()))
    assert (facts["kind"], facts["dim"], facts["precision"]) == ("dense", 32, "fp32")
    assert (facts["in_domain"], facts["trained_on"]) == ([], None)


def test_the_key_of_a_foreign_folder_follows_its_weights(folder, tiny, tmp_path):
    place = folder()
    before = [DenseRetriever(place).describe()["model_key"] for _ in range(2)]
    (tmp_path / "README.txt").write_text("words do not count")
    assert {*before, DenseRetriever(place).describe()["model_key"]} == {before[0]}
    encoder = DenseRetriever(place).load().encoder
    with torch.no_grad():
        next(encoder.parameters()).add_(1.0)
    encoder.save_pretrained(tmp_path)
    assert DenseRetriever(place).describe()["model_key"] != before[0]


def test_a_manifest_says_what_a_model_was_trained_on(folder, tmp_path):
    place = folder()
    manifest = {"key": "abc", "in_domain": ["scifact"], "trained_on": ["pairs"], "seed": 7}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    facts = DenseRetriever(place).describe()
    assert (facts["model_key"], facts["train_seed"]) == ("abc", 7)
    assert (facts["in_domain"], facts["trained_on"]) == (["scifact"], ["pairs"])


@pytest.mark.parametrize(
    "fields, match",
    [
        ({"lengths": {"passage": 3}}, r"lengths\.passage: no such side"),
        ({"prompts": {"doc": "a"}}, r"prompts\.doc: no such side"),
        ({"lengths": {"query": 0}}, "lengths: must be at least 1"),
        ({"scores": 0}, "scores"),
        ({"dim": 0}, "dim"),
        ({"layers": 0}, "layers"),
        ({"oversample": 0}, "oversample"),
    ],
)
def test_settings_that_make_no_search_are_refused(fields, match):
    with pytest.raises(ConfigError, match=match):
        DenseRetriever("anywhere", **fields)


def test_what_is_not_a_dense_model_is_refused_in_one_line(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    cases = [(str(tmp_path / "empty"), "no modules.json"), ("no/such-model", "not in the local")]
    place = folder()
    modules = (tmp_path / "modules.json").read_text()
    (tmp_path / "modules.json").write_text(modules.replace("models.Pooling", "models.WordWeights"))
    for model, match in [*cases, (place, "Transformer, WordWeights, Normalize")]:
        with pytest.raises(TrivetError, match=match) as caught:
            DenseRetriever(model).load()
        assert "\n" not in str(caught.value)
        assert model in str(caught.value)


def test_search_before_index_and_an_empty_corpus_are_refused(tiny):
    with pytest.raises(TrivetError, match="before index"):
        DenseRetriever("m").search(["q"], ["fox"], 1)
    with pytest.raises(TrivetError, match="empty"):
        search(retriever(tiny(), []), ["fox"], 1)


def saved(place, kept, **fields):
    return DenseRetriever(place, machine=CPU, cache=Cache(folder=str(kept)), **fields)


def test_vectors_are_made_once_for_the_same_texts_model_length_prompt_and_precision(
    folder, texts, tmp_path_factory, monkeypatch
):
    place, documents, kept = folder(), texts(20, 5), tmp_path_factory.mktemp("kept")
    made = []
    real = encode.encode_shards
    monkeypatch.setattr(
        "trivet.retrieval.dense.encode_shards",
        lambda *rest, **named: (made.append(len(rest[3])), real(*rest, **named))[1],
    )
    found = []
    for fields in (
        {},
        {},
        {"lengths": {"query": 3}},
        {"dim": 8},
        {"store": "int8"},
        {"lengths": {"document": 3}},
        {"prompts": {"document": "a "}},
        {"precision": "bf16"},
    ):
        one = saved(place, kept, **fields)
        one.index(corpus_of(documents))
        found.append(search(one, ["fox"], 5))
    assert made == [1, 0, 0, 0, 0, 1, 1, 1]
    assert (found[0].scores == found[1].scores).all() and (found[0].rows == found[1].rows).all()
    other = saved(place, kept)
    other.index(corpus_of(documents[:-1]))
    assert made[-1] == 1


def test_more_dimensions_than_the_model_has_are_refused(tiny, texts):
    with pytest.raises(ConfigError, match="32 dimensions"):
        retriever(tiny(), texts(3, 0), dim=64)


@pytest.mark.parametrize("dim", [None, 8])
def test_scores_of_pairs_are_those_of_the_search_however_the_work_is_cut(
    tiny, texts, monkeypatch, dim
):
    monkeypatch.setattr(encode, "_CHUNK", 7)  # several shards
    documents, queries = texts(40, 0), texts(12, 1)
    made = retriever(tiny(), documents, dim=dim, scores=50)
    rows = np.random.default_rng(0).integers(-1, 40, (12, 9))
    found = made.pair_scores(queries, rows)
    ranking = search(made, queries, 40)
    for i in range(12):
        whole = {int(name[1:]): score for name, score in ranking.of(i)}
        want = [whole.get(row, np.nan) for row in rows[i].tolist()]
        assert found[i].tolist() == pytest.approx(want, abs=1e-6, nan_ok=True)


def test_scores_of_pairs_are_asked_after_the_index():
    with pytest.raises(TrivetError, match="before index"):
        DenseRetriever("in memory").pair_scores(["fox"], np.zeros((1, 1), dtype=np.int64))


def test_queries_are_encoded_once_for_a_search_and_its_pairs(folder, monkeypatch):
    made = DenseRetriever(folder(), machine=CPU, cache=Cache(use=False))
    made.index(corpus_of(["fox", "hill"]))
    first = search(made, ["a fox"], 2)
    monkeypatch.setattr("trivet.retrieval.dense.encode", None)
    scores = made.pair_scores(["a fox"], first.rows)
    assert scores[0].tolist() == pytest.approx(first.scores[0].tolist(), abs=1e-6)


def test_a_model_that_changes_is_asked_anew(tiny, fresh):
    model = tiny(encoder=copy.deepcopy(fresh[0]))
    made = retriever(model, ["fox", "hill"])
    before = search(made, ["a fox"], 2).scores
    with torch.no_grad():
        next(model.encoder.parameters()).copy_(torch.randn(30522, 32))
    made.index(corpus_of(["fox", "hill"]))
    assert search(made, ["a fox"], 2).scores.tolist() != before.tolist()
