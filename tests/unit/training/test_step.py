"""Gradients of a batch in micro-batches: the same, in the memory of one micro-batch."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
import torch
from torch import nn

from trivet.core.errors import TrivetError
from trivet.core.ragged import Ragged
from trivet.training.settings import Fit, Prepared
from trivet.training.step import Stepper


class Bag(nn.Module):
    """Token embeddings, averaged, with dropout; it can run out of memory."""

    def __init__(self, dropout=0.0, most=10**9, fails=()):
        super().__init__()
        torch.manual_seed(0)
        self.words = nn.Embedding(50, 8, dtype=torch.float64)
        self.drop = nn.Dropout(dropout)
        self.most, self.fails, self.sizes = most, list(fails), []

    def forward(self, rows):
        self.sizes.append((len(rows), torch.is_grad_enabled()))
        if rows.values.numel() > self.most or (self.fails and self.fails.pop(0)):
            raise torch.OutOfMemoryError("no memory")
        return self.drop(torch.stack([self.words(row).mean(0) for row in rows]))


def batch(rows=16, seed=0, shortest=1, longest=8):
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.randint(shortest, longest + 1, (rows,), generator=draw).tolist()
    return Prepared(
        Ragged.of([torch.randint(0, 50, (n,), generator=draw) for n in lengths]),
        torch.randn(rows, 8, generator=draw, dtype=torch.float64),
    )


def loss(vectors, wanted):
    """Every vector's gradient depends on every other, as with in-batch negatives."""
    return (vectors @ wanted.T).logsumexp(1).mean()


def stepped(model, *, cached, budget=64, batches=1, hold=1, **lengths):
    settings = Fit(batch=16, precision="fp32", cached=cached, accumulate=batches)
    stepper = Stepper(model, loss, settings, budget=budget, seed=3, what="test", hold=hold)
    for seed in range(batches):
        stepper.add(batch(seed=seed, **lengths), 0)
    value, _ = stepper.finish(0)
    return value, model.words.weight.grad, stepper


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("budget", [8, 24, 10**6])
@pytest.mark.parametrize("batches", [1, 3])
@pytest.mark.parametrize("hold", [0, 1, 3])
def test_cached_gradients_are_the_plain_ones_dropout_and_all(dropout, budget, batches, hold):
    options = {"budget": budget, "batches": batches, "hold": hold}
    plain, wanted, _ = stepped(Bag(dropout), cached=False, **options)
    found, grads, _ = stepped(Bag(dropout), cached=True, **options)
    assert found == pytest.approx(plain, rel=1e-12)
    torch.testing.assert_close(grads, wanted, rtol=0, atol=1e-12)


def test_a_step_draws_the_same_whenever_it_is_run_and_another_step_draws_others():
    def gradient(step):
        model = Bag(0.5)
        settings = Fit(batch=16, precision="fp32")
        Stepper(model, loss, settings, budget=64, seed=3, what="test").add(batch(), step)
        return model.words.weight.grad

    torch.manual_seed(99)
    assert torch.equal(gradient(7), gradient(7))
    assert not torch.equal(gradient(7), gradient(8))


@pytest.mark.parametrize("hold", [0, 1, 3, 100])
def test_what_is_held_is_encoded_once_and_all_else_twice(hold):
    model = Bag()
    stepped(model, cached=True, budget=16, hold=hold)
    without = [rows for rows, graph in model.sizes if not graph]
    graphs = [rows for rows, graph in model.sizes if graph]
    assert len(graphs) > 3 and sum(graphs) == 16
    assert without == graphs[hold:]


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("batches", [1, 2])
def test_a_batch_that_does_not_fit_is_cut_smaller_and_its_gradients_stay(cached, batches, caplog):
    options = {"budget": 256, "batches": batches, "shortest": 20, "longest": 20}
    _, wanted, _ = stepped(Bag(), cached=False, **options)
    _, grads, stepper = stepped(Bag(most=70), cached=cached, **options)
    torch.testing.assert_close(grads, wanted, rtol=0, atol=1e-12)
    assert stepper.cached and stepper.budget == 64
    assert "memory ran out" in caplog.text


@pytest.mark.parametrize("failing", range(8))
@pytest.mark.parametrize("hold", [0, 1, 2])
def test_memory_that_runs_out_at_any_call_leaves_the_gradients_as_they_should_be(failing, hold):
    options = {"cached": True, "budget": 128, "batches": 2, "hold": hold}
    options |= {"shortest": 20, "longest": 20}
    _, wanted, _ = stepped(Bag(), **options)
    fails = [call == failing for call in range(40)]
    _, grads, _ = stepped(Bag(fails=fails), **options)
    torch.testing.assert_close(grads, wanted, rtol=0, atol=1e-12)


def test_memory_for_not_even_one_text_ends_with_one_line():
    with pytest.raises(TrivetError, match="memory runs out"):
        stepped(Bag(most=0), cached=True)


PEAK = """
import resource, sys
import torch
from transformers import BertConfig, BertModel
from trivet.core.ragged import Ragged
from trivet.losses.infonce import infonce
from trivet.training.settings import Fit, Prepared
from trivet.training.step import Stepper

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = BertModel(BertConfig(vocab_size=100, hidden_size=64, num_hidden_layers=2,
                                            num_attention_heads=2, intermediate_size=128))
    def forward(self, rows):
        out = self.encoder(rows.pad()[0]).last_hidden_state.mean(1)
        return torch.nn.functional.normalize(out, dim=-1)

def loss(vectors, targets):
    queries, documents = vectors.chunk(2)
    return infonce(queries, documents, positives=torch.arange(len(queries)), temperature=0.05)

rows = 2 * int(sys.argv[1])
model = Model().train()
tokens = Ragged(torch.randint(0, 100, (rows * 32,)), torch.arange(0, rows * 32 + 1, 32))
settings = Fit(batch=rows // 2, precision="fp32", cached=True)
stepper = Stepper(model, loss, settings, budget=16 * 2 * 32, seed=0, what="peak", hold=2)
stepper.add(Prepared(tokens, None), 0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_a_batch_of_1024_takes_the_memory_of_64_and_its_vectors():
    def peak(rows):
        command = [sys.executable, "-c", textwrap.dedent(PEAK), str(rows)]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    small, large = peak(64), peak(1024)
    vectors = 3 * 2048 * 64 * 4 / 1024  # KiB: the vectors, their gradients, the loss' own copy
    block = 3 * (1 << 22) * 4 / 1024  # scores held at a time, and what torch needs for them
    assert large - small < vectors + block + 60 * 1024  # all activations held: 1 GiB more
