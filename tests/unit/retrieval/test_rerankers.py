import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

from trivet.core.errors import ArtifactError, ConfigError, TrivetError
from trivet.core.machine import Machine
from trivet.core.places import asset
from trivet.models.loading import load_tokenizer
from trivet.retrieval import encode
from trivet.retrieval.rerankers import CausalYesNo, CrossEncoder, Reranker

CPU = Machine(device="cpu", encode_tokens=200)
SHAPE = {
    "vocab_size": 30522,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "initializer_range": 0.5,
    "pad_token_id": 0,
}
SHORT = "asked {query}\ntold {document}\nanswer:"


def save(folder, kind, auto, **fields):
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **SHAPE | fields)
    auto.from_config(config).save_pretrained(folder)
    load_tokenizer(asset("tokenizers/bert-base-uncased")).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module", params=["bert", "xlm-roberta"])
def cross(tmp_path_factory, request):
    """A cross-encoder with and without segments."""
    extra = {"num_labels": 1, "max_position_embeddings": 66}
    folder = tmp_path_factory.mktemp("cross")
    return save(folder, request.param, AutoModelForSequenceClassification, **extra)


@pytest.fixture(scope="module", params=["qwen2", "llama", "gpt2"])
def causal(tmp_path_factory, request):
    """Language models with relative positions, and one with absolute ones."""
    extra = {"num_key_value_heads": 1, "bos_token_id": 101, "eos_token_id": 102}
    return save(tmp_path_factory.mktemp("lm"), request.param, AutoModelForCausalLM, **extra)


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    return save(tmp_path_factory.mktemp("qwen"), "qwen2", AutoModelForCausalLM,
                num_key_value_heads=1)  # fmt: skip


def pairs_of(texts, count=24):
    return list(zip(texts(count, 0), texts(count, 1, longest=30), strict=True))


@torch.no_grad()
def crossed(folder, pairs):
    """One pair at a time, without padding."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = load_tokenizer(folder)
    rows = [tokenizer(*pair, return_tensors="pt") for pair in pairs]
    if model.config.model_type != "bert":
        for row in rows:
            row.pop("token_type_ids", None)
    return [float(model(**row).logits) for row in rows]


@torch.no_grad()
def asked(folder, pairs, template=SHORT):
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = load_tokenizer(folder)
    yes, no = tokenizer.convert_tokens_to_ids(["1", "0"])
    out = []
    for query, document in pairs:
        text = template.replace("{query}", query).replace("{document}", document)
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        last = model(input_ids=ids).logits[0, -1]
        out.append(float(last[yes] - last[no]))
    return out


def test_a_cross_encoder_scores_as_one_pair_at_a_time_without_padding(cross, texts, monkeypatch):
    monkeypatch.setattr(encode, "_CHUNK", 7)
    pairs = pairs_of(texts)
    found = CrossEncoder(cross, machine=CPU).score(pairs)
    assert found.dtype == np.float32 and found.std() > 0.01
    assert found.tolist() == pytest.approx(crossed(cross, pairs), abs=1e-5)


def test_a_language_model_scores_as_one_pair_at_a_time_without_padding(causal, texts, monkeypatch):
    monkeypatch.setattr(encode, "_CHUNK", 7)
    pairs = pairs_of(texts)
    found = CausalYesNo(causal, machine=CPU, template=SHORT).score(pairs)
    assert found.dtype == np.float32 and found.std() > 0.01
    assert found.tolist() == pytest.approx(asked(causal, pairs), abs=1e-5)


def test_the_template_and_its_answers_decide_the_score(qwen, texts):
    pairs = pairs_of(texts, 5)
    whole = CausalYesNo(qwen, machine=CPU)
    assert whole.score(pairs).tolist() == pytest.approx(
        asked(qwen, pairs, whole.template), abs=1e-5
    )
    turned = CausalYesNo(qwen, machine=CPU, template=SHORT, positive="0", negative="1")
    assert (-turned.score(pairs)).tolist() == pytest.approx(asked(qwen, pairs), abs=1e-5)


def test_a_chat_model_is_asked_in_its_own_form(qwen, texts, tmp_path):
    tokenizer = load_tokenizer(qwen)
    tokenizer.chat_template = "user: {{ messages[0].content }}\nmodel:"
    AutoModelForCausalLM.from_pretrained(qwen).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    pairs = pairs_of(texts, 5)
    found = CausalYesNo(str(tmp_path), machine=CPU, template=SHORT).score(pairs)
    expected = asked(qwen, pairs, f"user: {SHORT}\nmodel:")
    assert found.tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("budget, most", [(200, 100), (800, 128)])
def test_scores_do_not_change_when_memory_runs_out(qwen, texts, budget, most, monkeypatch):
    words = [texts(24, seed, longest=1) for seed in range(4)]
    pairs = [(q, " ".join(d)) for q, *d in zip(*words, strict=True)]  # rows of one length
    machine = Machine(device="cpu", encode_tokens=budget)
    whole, made = (CausalYesNo(qwen, machine=machine, template=SHORT) for _ in range(2))
    forward, sizes = made._forward, []

    def small(batch):
        padded, _ = batch.left()
        if padded.numel() > most:
            raise MemoryError
        sizes.append(padded.numel())
        return forward(batch)

    monkeypatch.setattr(made, "_forward", small)
    assert made.score(pairs).tolist() == pytest.approx(whole.score(pairs).tolist(), abs=1e-5)
    assert max(sizes) <= most
    assert made._state["budget"] == 100  # what fitted is kept for the next pairs


def test_half_precision_scores_nearly_as_full_precision(qwen, cross, texts):
    pairs = pairs_of(texts, 10)
    for make in (
        lambda precision: CausalYesNo(qwen, machine=CPU, template=SHORT, precision=precision),
        lambda precision: CrossEncoder(cross, machine=CPU, precision=precision),
    ):
        full, half = (make(precision).score(pairs) for precision in ("fp32", "bf16"))
        assert half.dtype == np.float32
        assert np.abs(full - half).max() < 0.2 * np.abs(full).max()
        assert full.tolist() != half.tolist()


def test_the_longer_text_is_cut_and_the_share_of_cut_pairs_is_told(cross):
    made = CrossEncoder(cross, machine=CPU, max_length=12)  # three of them are markers
    assert "truncated_pair_share" not in made.describe()
    long, cut = "fox hill " * 30, "fox hill " * 4
    found = made.score([("fox", long), ("fox", cut), (long, "fox"), ("fox", "hill")])
    assert found[0] == pytest.approx(float(found[1]), abs=1e-6)
    assert made.describe()["truncated_pair_share"] == 0.5
    assert made.describe()["lengths"] == {"pair": 12}


def test_positions_bound_the_length(cross):
    length = CrossEncoder(cross, machine=CPU).describe()["lengths"]["pair"]
    roberta = "roberta" in json.loads((Path(cross) / "config.json").read_text())["model_type"]
    assert length == (65 if roberta else 66)
    CrossEncoder(cross, machine=CPU).score([("fox " * 90, "hill " * 90)])


def test_a_query_is_cut_to_three_quarters_and_a_document_to_what_is_left(qwen):
    made = CausalYesNo(qwen, machine=CPU, template="{query}\n{document}!", max_length=20)
    rows = made._tokens([("fox " * 50, "hill " * 50), ("fox", "hill " * 50), ("fox", "hill")])
    fox, hill, end = (load_tokenizer(qwen).convert_tokens_to_ids(w) for w in ("fox", "hill", "!"))
    assert [row.tolist() for row in rows.ids] == [
        [fox] * 15 + [hill] * 4 + [end],
        [fox] + [hill] * 18 + [end],
        [fox, hill, end],
    ]
    assert rows.truncated == 2


def test_rows_are_filled_up_before_they_begin(qwen):
    made = CausalYesNo(qwen, machine=CPU, template="{query}\n{document}!", max_length=20)
    ids, mask = made._tokens([("fox", "hill"), ("fox", "hill hill")]).left()
    assert mask.tolist() == [[False, True, True, True], [True] * 4]
    assert len(set(ids[:, -1].tolist())) == 1


def test_no_pairs_give_no_scores(cross):
    assert CrossEncoder(cross, machine=CPU).score([]).shape == (0,)


def test_they_are_rerankers_whose_facts_fit_a_ledger_row(cross, qwen):
    for made, kind in ((CrossEncoder(cross), "cross-encoder"), (CausalYesNo(qwen), "causal")):
        assert isinstance(made, Reranker)
        facts = json.loads(json.dumps(made.describe()))
        assert (facts["kind"], facts["precision"], facts["trained_on"]) == (kind, "fp32", None)
        assert len(facts["model_key"]) == 64
    assert "answer with one digit" in facts["template"]


def test_a_model_without_the_head_is_refused_in_one_line_that_names_it(fresh, tmp_path):
    fresh[0].save_pretrained(tmp_path)
    load_tokenizer(asset("tokenizers/bert-base-uncased")).save_pretrained(tmp_path)
    with pytest.raises(ArtifactError, match=r"classifier\.\w+") as caught:
        CrossEncoder(str(tmp_path), machine=CPU).score([("fox", "hill")])
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_a_head_of_several_labels_is_refused(tmp_path):
    folder = save(tmp_path, "bert", AutoModelForSequenceClassification, num_labels=3)
    with pytest.raises(ArtifactError, match="head has 3 labels"):
        CrossEncoder(folder, machine=CPU).score([("fox", "hill")])


def test_a_tokenizer_with_more_tokens_than_the_encoder_is_refused(tmp_path):
    folder = save(
        tmp_path, "bert", AutoModelForSequenceClassification, num_labels=1, vocab_size=500
    )
    with pytest.raises(ArtifactError, match="its tokenizer has 30522 tokens, its encoder 500"):
        CrossEncoder(folder, machine=CPU).score([("fox", "hill")])


def test_an_encoder_is_no_language_model(fresh, tmp_path):
    fresh[0].save_pretrained(tmp_path)
    with pytest.raises(ArtifactError, match=r"cls\.predictions|lm_head"):
        CausalYesNo(str(tmp_path), machine=CPU).score([("fox", "hill")])


def test_a_score_that_is_no_number_is_refused(qwen):
    made = CausalYesNo(qwen, machine=CPU, template=SHORT)
    with torch.no_grad():
        made._ready()["model"].get_output_embeddings().weight.fill_(float("nan"))
    with pytest.raises(TrivetError, match="not a number"):
        made.score([("fox", "hill")])


@pytest.mark.parametrize(
    "fields, match",
    [
        ({"max_length": 4}, "max_length: must be at least 8"),
        ({"template": "{query} {document}"}, "template: lacks a place"),
        ({"template": "{document}\n{query}"}, "template: lacks a place"),
        ({"template": "{query}\n{query}\n{document}"}, "template: lacks a place"),
    ],
)
def test_settings_that_leave_no_room_are_refused(fields, match):
    with pytest.raises(ConfigError, match=match):
        CausalYesNo("anywhere", **fields)


def test_what_only_the_tokenizer_knows_is_refused_at_the_first_pair(qwen):
    with pytest.raises(ConfigError, match="leave no room beside the template's"):
        CausalYesNo(qwen, machine=CPU, max_length=40).score([("fox", "hill")])
    with pytest.raises(ConfigError, match="'yes indeed' is 2 tokens"):
        CausalYesNo(qwen, machine=CPU, positive="yes indeed").score([("fox", "hill")])
