import pytest
import torch

from trivet.retrieval import encode as room
from trivet.retrieval.encode import at_precision, encode, split


def alone(model, texts, side="document"):
    """Each text encoded by itself."""
    with torch.no_grad():
        return torch.cat([model(model.tokenizer([text], side).ids) for text in texts])


def test_vectors_come_back_in_the_order_of_the_texts(tiny, texts):
    model, some = tiny(), texts(50, 0)
    torch.testing.assert_close(encode(model, some, "document").vectors, alone(model, some),
                               atol=1e-6, rtol=0)  # fmt: skip


@pytest.mark.parametrize("budget", [1, 20, 100, 16384])
def test_the_micro_batch_budget_does_not_change_vectors(tiny, texts, budget):
    model, some = tiny(), texts(50, 1)
    want = alone(model, some)
    model.budget = budget
    got = encode(model, some, "document").vectors
    assert (got - want).abs().max() < 1e-6


@pytest.mark.parametrize("chunk", [1, 7, 50, 51])
def test_how_many_texts_are_tokenized_at_once_does_not_change_vectors(
    tiny, texts, chunk, monkeypatch
):
    model, some = tiny(length=4), texts(50, 2)
    want = encode(model, some, "document")
    monkeypatch.setattr(room, "_CHUNK", chunk)
    got = encode(model, some, "document")
    assert (got.vectors - want.vectors).abs().max() < 1e-6
    assert got.truncated == want.truncated == sum(len(text.split()) > 4 for text in some)


def test_half_precision_stays_within_a_thousandth_of_cosine(tiny, texts):
    model, some = tiny(), texts(50, 3)
    full = encode(at_precision(model, "fp32", "cpu"), some, "document").vectors
    half = encode(at_precision(model, "bf16", "cpu"), some, "document").vectors
    assert half.dtype == torch.float32
    assert torch.cosine_similarity(full, half).min() > 0.999
    assert not torch.equal(full, half)


def test_a_side_has_its_prompt_and_another_may_stand_in_for_it(tiny):
    model = tiny(prompts={"query": "fox ", "document": "hill "})
    query, document = (encode(model, ["road"], side).vectors for side in ("query", "document"))
    assert not torch.allclose(query, document, atol=1e-4)
    stand_in = encode(model, ["road"], "document", prompt="fox ").vectors
    torch.testing.assert_close(stand_in, query, atol=1e-6, rtol=0)


def test_vectors_carry_no_gradient_and_no_texts_give_none(tiny):
    model = tiny()
    assert not encode(model, ["fox"], "query").vectors.requires_grad
    out = encode(model, [], "query")
    assert (tuple(out.vectors.shape), out.truncated) == ((0, 32), 0)


def test_a_copy_for_encoding_drops_nothing_out_and_shares_no_weight(tiny):
    model = tiny().train()
    copied = at_precision(model, "fp32", "cpu")
    assert not any(module.training for module in copied.modules())
    assert model.training and copied.budget == model.budget
    own = {p.data_ptr() for p in model.parameters()}
    assert own.isdisjoint(p.data_ptr() for p in copied.parameters())


@pytest.mark.parametrize("size", [1, 3, 100])
def test_shards_hold_every_text_once_and_never_too_many_or_too_long(size, monkeypatch):
    monkeypatch.setattr("trivet.retrieval.encode._CHARACTERS", 50)
    texts = ["x" * n for n in (0, 10, 200, 30, 30, 20, 1, 1, 49, 50)]
    shards = split(texts, size)
    assert sorted(row for shard in shards for row in shard) == list(range(len(texts)))
    assert all(len(shard) <= size for shard in shards)
    assert all(len(s) == 1 or sum(len(texts[row]) for row in s) <= 50 for s in shards)
    lengths = [len(texts[row]) for shard in shards for row in shard]
    assert lengths == sorted(lengths, reverse=True)
