import functools
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForMaskedLM, DistilBertConfig, DistilBertForMaskedLM

from trivet.bench.ledger import RETRIEVER
from trivet.core.errors import ArtifactError, ConfigError, TrivetError
from trivet.core.machine import Machine
from trivet.core.places import asset
from trivet.core.ragged import Ragged
from trivet.core.records import Corpus
from trivet.models.loading import load_masked_lm, load_tokenizer
from trivet.models.splade import SpladeModel, load_splade
from trivet.retrieval.cache import Cache
from trivet.retrieval.protocol import Adaptable, Retriever
from trivet.retrieval.splade import Splade

CPU = Machine(device="cpu")
BERT = BertConfig(
    vocab_size=30522,
    hidden_size=16,
    intermediate_size=32,
    num_hidden_layers=1,
    num_attention_heads=2,
    initializer_range=0.3,
    max_position_embeddings=64,
)


def corpus_of(texts, ids=None):
    return Corpus(ids or [f"d{i}" for i in range(len(texts))], [""] * len(texts), list(texts))


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """A random BERT with its head, as transformers saves it; few of its logits are above 0."""
    folder = tmp_path_factory.mktemp("splade")
    torch.manual_seed(0)
    model = BertForMaskedLM(BERT).eval()
    model.cls.predictions.bias.data.fill_(-4.0)
    model.save_pretrained(folder)
    load_tokenizer(asset("tokenizers/bert-base-uncased")).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(saved, tmp_path / "model")


def retriever(folder, documents, **fields):
    made = Splade(str(folder), machine=CPU, **fields)
    made.index(corpus_of(documents))
    return made


def search(made, queries, k=100):
    ranking = made.search([f"q{i}" for i in range(len(queries))], list(queries), k)
    return [dict(ranking.of(i)) for i in range(len(queries))]


@functools.cache
def whole(folder):
    """The model as transformers has it, in double precision, and its tokenizer."""
    return BertForMaskedLM.from_pretrained(folder).double().eval(), load_tokenizer(folder)


@torch.no_grad()
def weights(folder, text, length=None, top=None):
    """SPLADE from its definition: one text alone, all logits at once, in double precision."""
    model, tokenizer = whole(folder)
    ids = tokenizer(text, truncation=length is not None, max_length=length and length + 2)
    logits = model(torch.tensor([ids["input_ids"]])).logits[0]  # (L, V)
    found = torch.log1p(torch.relu(logits)).amax(0)
    if top is not None:
        found[found < found.topk(top).values[-1]] = 0
    return found


def close(found, want):
    return found == pytest.approx({name: s for name, s in want.items() if s > 0}, rel=1e-4)


def test_a_text_has_some_terms_and_not_all(saved):
    count = int((weights(saved, "a red fox") > 0).sum())
    assert 10 < count < 10_000


@pytest.mark.parametrize("top", [{}, {"query": 4, "document": 9}, {"query": None, "document": 1}])
def test_scores_are_the_inner_products_of_brute_force(saved, texts, top):
    documents, queries = texts(20, 0), texts(6, 1)
    d = [weights(saved, f"say {text}", top=top.get("document")) for text in documents]
    prompts = {"query": "ask ", "document": "say "}
    found = search(retriever(saved, documents, top_terms=top, prompts=prompts), queries)
    for query, scores in zip(queries, found, strict=True):
        q = weights(saved, f"ask {query}", top=top.get("query"))
        assert close(scores, {f"d{i}": float(q @ v) for i, v in enumerate(d)})


def test_lengths_count_content_and_what_is_cut_is_told(saved):
    documents = ["fox hill road river", "fox hill", "whale"]
    made = retriever(saved, documents, lengths={"document": 2, "query": 1})
    (scores,) = search(made, ["fox whale"])
    q = weights(saved, "fox")
    want = {f"d{i}": float(q @ weights(saved, t, 2)) for i, t in enumerate(documents)}
    assert close(scores, want)
    facts = made.describe()
    assert facts["lengths"] == {"document": 2, "query": 1}
    assert facts["truncated_document_share"] == pytest.approx(1 / 3, abs=1e-6)
    assert facts["truncated_query_share"] == 1.0
    terms = [int((weights(saved, t, 2) > 0).sum()) for t in documents]
    assert facts["document_terms"] == pytest.approx(np.mean(terms), abs=0.01)


@pytest.mark.parametrize("logits", [1, 30522, 100_000, 1 << 20, 1 << 28])
def test_the_bound_of_logits_does_not_change_weights(saved, texts, logits):
    model = load_splade(saved).at("fp32", "cpu")
    ids = model.tokenizer(texts(7, 2), "document").ids
    with torch.inference_mode():
        want = torch.cat([model(Ragged.of([row])) for row in ids])
        model.logits = max(logits, 3000)  # a term at a time would take long
        assert (model(ids) - want).abs().max() < 1e-5
    assert model.texts * model.vocabulary <= max(logits, model.vocabulary)


def test_no_more_logits_are_held_than_allowed(saved, texts, monkeypatch):
    model = load_splade(saved).at("fp32", "cpu")
    held = []
    linear = torch.nn.functional.linear

    def spy(*args):
        out = linear(*args)
        held.append(out.numel())
        return out

    monkeypatch.setattr("trivet.models.splade.F.linear", spy)
    made = Splade(str(saved), machine=CPU, logits=200_000)
    made.use(model)
    made.index(corpus_of(texts(8, 3)))
    terms = [size for size in held if size > 16 * 64]  # what is smaller may be a layer's own
    assert max(terms) <= 200_000 and sum(terms) > 8 * 30522


def test_equal_documents_tie_and_the_larger_id_wins_across_the_cut(saved):
    made = Splade(str(saved), machine=CPU)
    made.index(corpus_of(["red fox"] * 5, ids=["9", "10", "2", "30", "1"]))
    assert [name for name, _ in made.search(["q"], ["fox"], 3).of(0)] == ["9", "30", "2"]


def test_half_precision_is_near_and_not_the_same(saved, texts):
    documents = texts(10, 6)
    full, half = (
        search(retriever(saved, documents, precision=precision), ["red fox"])[0]
        for precision in ("fp32", "bf16")
    )
    assert half == pytest.approx(full, rel=0.05) and half != full


def test_the_head_of_another_architecture_is_found_too(tmp_path):
    torch.manual_seed(0)
    config = DistilBertConfig(vocab_size=30522, dim=16, hidden_dim=32, n_layers=1, n_heads=2)
    model = DistilBertForMaskedLM(config).eval()
    model.save_pretrained(tmp_path)
    load_tokenizer(asset("tokenizers/bert-base-uncased")).save_pretrained(tmp_path)
    loaded = load_splade(tmp_path).at("fp32", "cpu")
    ids = loaded.tokenizer(["a red fox"], "query").ids
    with torch.no_grad():
        want = torch.log1p(torch.relu(model(ids.values[None]).logits[0])).amax(0)
        torch.testing.assert_close(loaded(ids)[0], want, atol=1e-5, rtol=0)


def test_the_embeddings_may_be_stored_once_but_the_head_may_not_be_missing(folder):
    file = folder / "model.safetensors"
    tensors = load_file(file)
    tied = {k: v for k, v in tensors.items() if "decoder" not in k}
    save_file(tied, file, {"format": "pt"})
    assert load_masked_lm(folder).get_output_embeddings().weight.shape == (30522, 16)
    headless = {k: v for k, v in tied.items() if "transform" not in k}
    save_file(headless, file, {"format": "pt"})
    with pytest.raises(ArtifactError, match="masked-language-model head.*cls.predictions.transf"):
        load_masked_lm(folder)
    broken = {k: v for k, v in tied.items() if "layer.0.output.dense.weight" not in k}
    save_file(broken, file, {"format": "pt"})
    with pytest.raises(ArtifactError, match="1 weights are missing.*layer.0.output"):
        load_masked_lm(folder)


def describe_as_sentence_transformers(folder, **pooling):
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.MLMTransformer"},
        {"idx": 1, "name": "1", "path": "1_Pool", "type": "sparse_encoder.models.SpladePooling"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pool").mkdir(exist_ok=True)
    (folder / "1_Pool" / "config.json").write_text(json.dumps(pooling))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 20}')
    prompts = {"prompts": {"query": "ask ", "document": "say "}}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))


def test_what_sentence_transformers_says_of_a_model_is_kept(folder):
    describe_as_sentence_transformers(folder, pooling_strategy="max", activation_function="relu")
    tokenizer = load_splade(folder).tokenizer
    assert tokenizer.lengths == {"query": 18, "document": 18}
    assert tokenizer.prompts == {"query": "ask ", "document": "say "}
    made = Splade(str(folder), prompts={"query": "find "})
    made.adapt({"query": 3}, {"query": "task ", "document": "task "})
    facts = made.describe()
    assert isinstance(made, Adaptable)
    assert facts["prompts"] == {"query": "find ", "document": "task "}
    assert facts["lengths"]["query"] == 18


@pytest.mark.parametrize(
    "pooling", [{"pooling_strategy": "sum"}, {"activation_function": "log1p_relu"}]
)
def test_another_pooling_is_refused(folder, pooling):
    describe_as_sentence_transformers(folder, **pooling)
    with pytest.raises(ArtifactError, match=next(iter(pooling.values()))):
        load_splade(folder)


def test_it_is_a_retriever_whose_facts_fit_a_ledger_row(saved):
    made = Splade(str(saved), machine=CPU, top_terms={"query": 5})
    assert isinstance(made, Retriever)
    facts = json.loads(json.dumps(made.describe()))
    assert all(type(facts[name]) in kinds for name, kinds in RETRIEVER.items())
    assert (facts["kind"], facts["vocabulary"], facts["trained_on"]) == ("splade", 30522, None)
    assert facts["top_terms"] == {"query": 5, "document": None}


@pytest.mark.parametrize(
    "fields, match",
    [
        ({"lengths": {"passage": 3}}, r"lengths\.passage: no such side"),
        ({"top_terms": {"doc": 3}}, r"top_terms\.doc: no such side"),
        ({"top_terms": {"query": 0}}, "top_terms.query: must be at least 1"),
        ({"lengths": {"query": 0}}, "lengths: must be at least 1"),
        ({"logits": 0}, "logits"),
    ],
)
def test_settings_that_make_no_search_are_refused(fields, match):
    with pytest.raises(ConfigError, match=match):
        Splade("anywhere", **fields)


def test_search_before_index_and_an_empty_corpus_are_refused(saved):
    with pytest.raises(TrivetError, match="before index"):
        Splade("m").search(["q"], ["fox"], 1)
    with pytest.raises(TrivetError, match="empty"):
        retriever(saved, [])
    assert retriever(saved, ["fox"]).search([], [], 5).rows.shape == (0, 1)


@pytest.mark.shared
@pytest.mark.parametrize("text", ["Glycan adaptation is rarely observed.", "a" * 3000])
def test_a_real_model_gives_the_weights_of_sentence_transformers_pooling(shared, text):
    from sentence_transformers.sparse_encoder.models import SpladePooling

    folder = shared / "models" / "splade-tiny"
    full, model = load_masked_lm(folder).eval(), load_splade(folder).at("fp32", "cpu")
    ids = model.tokenizer([text], "document").ids
    with torch.no_grad():
        features = {
            "token_embeddings": full(ids.values[None]).logits,
            "attention_mask": torch.ones(1, len(ids.values), dtype=torch.int64),
        }
        want = SpladePooling("max")(features)["sentence_embedding"]
        torch.testing.assert_close(model(ids), want, atol=1e-5, rtol=0)


def test_terms_are_kept_and_found_again_and_another_setting_makes_its_own(
    saved, texts, tmp_path, monkeypatch
):
    kept, texts = Cache(folder=str(tmp_path)), texts(12, 7)
    wanted = search(retriever(saved, texts, cache=kept), texts)
    calls = []
    forward = SpladeModel.forward
    monkeypatch.setattr(
        SpladeModel, "forward", lambda self, ids: calls.append(len(ids)) or forward(self, ids)
    )
    made = retriever(saved, texts, cache=kept)
    assert calls == []
    assert search(made, texts) == wanted
    retriever(saved, texts, cache=kept, top_terms={"document": 2})
    assert sum(calls) == 2 * len(texts)  # the queries above, and the documents with another setting
