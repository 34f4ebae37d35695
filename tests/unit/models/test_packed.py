"""Texts end to end give the hidden states and gradients of texts that are filled up."""

import pytest
import torch

from trivet.core.buckets import packs
from trivet.core.ragged import Ragged
from trivet.models import packed
from trivet.models.backbone import Fresh
from trivet.models.packed import Packing, hidden_states, means, micro_batches

BERT = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
MODERN = {
    "model_type": "modernbert",
    "vocab_size": 30522,
    "pad_token_id": 0,
    "bos_token_id": 101,
    "eos_token_id": 102,
    "cls_token_id": 101,
    "sep_token_id": 102,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "local_attention": 8,
    "global_attn_every_n_layers": 3,
}
LENGTHS = {
    "sorted": sorted([1, 2, 60, 7, 7, 7, 33, 35, 9, 12, 60, 59, 5], reverse=True),
    "in no order": [7, 60, 1, 7, 7, 33, 60, 2],
    "alike": [9, 9, 9],
    "one text": [5],
}


def texts(lengths):
    draw = torch.Generator().manual_seed(0)
    return Ragged.of([torch.randint(1000, 30000, (n,), generator=draw) for n in lengths])


@pytest.mark.parametrize("shape", [BERT, MODERN], ids=["bert", "modernbert"])
@pytest.mark.parametrize("some", [False, True], ids=["all seen", "some unseen"])
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_states_and_gradients_are_those_of_texts_that_are_filled_up(
    shape, some, lengths, monkeypatch
):
    encoder, _ = Fresh(shape).load()
    encoder = encoder.double().train()
    tokens = texts(lengths)
    seen = None
    if some:
        seen = torch.rand(len(tokens.values), generator=torch.Generator().manual_seed(1)) > 0.3
        seen[tokens.offsets[:-1]] = True
    found = []
    for families in ({"bert", "modernbert"}, set()):
        monkeypatch.setattr(packed, "PACKED", families)
        encoder.zero_grad()
        states = hidden_states(encoder, tokens, pad=0, seen=seen, every=True)
        assert len(states) == shape["num_hidden_layers"] + 1
        weights = torch.linspace(-1, 1, states[-1].numel(), dtype=torch.float64)
        (states[-1] * weights.view_as(states[-1])).sum().backward()
        found.append((states, {n: p.grad for n, p in encoder.named_parameters()}))
        encoder.zero_grad(set_to_none=True)
    (mine, grads), (theirs, expected) = found
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=0)
    assert grads.keys() == expected.keys()
    for name, grad in expected.items():
        torch.testing.assert_close(grads[name], grad, atol=1e-10, rtol=1e-9)


def test_no_padding_goes_through_the_layers(monkeypatch):
    encoder, _ = Fresh(BERT).load()
    seen = []
    dense = encoder.encoder.layer[0].intermediate.dense
    dense.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape))
    hidden_states(encoder, texts([60, 3, 1]), pad=0)
    assert seen == [(1, 64, 32)]


def test_texts_that_differ_in_length_are_not_filled_up_by_more_than_a_share():
    offsets = torch.tensor([100, 90, 84, 50, 45, 1]).cumsum(0)
    packing = Packing.of(torch.cat([offsets.new_zeros(1), offsets]))
    assert [group.shape for group in packing.groups] == [(2, 100), (1, 84), (2, 50), (1, 1)]
    assert [group.real is None for group in packing.groups] == [False, True, False, True]


def test_means_are_those_of_each_row():
    rows = texts([3, 1, 8])
    values = torch.randn(len(rows.values), 4, dtype=torch.float64, requires_grad=True)
    found = means(Ragged(values, rows.offsets))
    expected = torch.stack([row.mean(0) for row in Ragged(values, rows.offsets)])
    torch.testing.assert_close(found, expected, atol=1e-14, rtol=0)
    weights = torch.linspace(0, 1, 12, dtype=torch.float64).view(3, 4)
    (mine,) = torch.autograd.grad((found * weights).sum(), values, retain_graph=True)
    (theirs,) = torch.autograd.grad((expected * weights).sum(), values)
    torch.testing.assert_close(mine, theirs, atol=1e-14, rtol=0)


def test_an_encoder_of_another_family_counts_the_padding_of_its_micro_batches(monkeypatch):
    encoder, _ = Fresh(BERT).load()
    lengths = torch.tensor([10, 1, 1, 1])
    assert [group.tolist() for group in micro_batches(encoder, lengths, 20)] == [[0, 1, 2, 3]]
    monkeypatch.setattr(packed, "PACKED", set())
    assert [group.tolist() for group in micro_batches(encoder, lengths, 20)] == [[0], [1, 2, 3]]


@pytest.mark.parametrize("budget", [1, 7, 20, 10**6])
def test_packs_hold_every_row_once_longest_first_within_the_budget(budget):
    lengths = torch.tensor([3, 9, 1, 9, 4, 20, 2])
    groups = packs(lengths, budget)
    flat = torch.cat(groups)
    assert sorted(flat.tolist()) == list(range(7))
    assert lengths[flat].tolist() == [20, 9, 9, 4, 3, 2, 1]
    assert flat.tolist()[1:3] == [1, 3]
    for group, later in zip(groups, [*groups[1:], None], strict=True):
        held = int(lengths[group].sum())
        assert held <= budget or len(group) == 1
        if later is not None:
            assert held + int(lengths[later[0]]) > budget


def test_packs_of_nothing_are_none_and_a_budget_must_hold_something():
    assert packs(torch.tensor([], dtype=torch.int64), 5) == []
    with pytest.raises(ValueError, match="holds nothing"):
        packs(torch.tensor([1]), 0)
