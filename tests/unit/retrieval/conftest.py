"""A tiny encoder with random weights, and one whose vectors are whole numbers."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from trivet.models.backbone import Fresh
from trivet.models.colbert import ColBERT, add_markers
from trivet.models.dense import Dense
from trivet.models.heads import Projection
from trivet.models.tokens import Tokenizer

SHAPE = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
WORDS = ["fox", "whale", "hill", "river", "stone", "cloud", "winter", "bread", "paper", "road"]


class Counting(torch.nn.Module):
    """Adds up whole numbers, one vector a token: inner products are exact, and ties are many."""

    def __init__(self, vocabulary, dim):
        super().__init__()
        numbers = torch.randint(0, 2, (vocabulary, dim), generator=torch.Generator().manual_seed(0))
        numbers[0] = 0  # padding adds nothing
        self.table = torch.nn.Embedding.from_pretrained(numbers.float())
        self.config = SimpleNamespace(hidden_size=dim, model_type="counting")

    def forward(self, input_ids, attention_mask):
        states = self.table(input_ids).sum(1, keepdim=True)  # the same for every token
        return SimpleNamespace(last_hidden_state=states.expand(-1, input_ids.shape[1], -1))


@pytest.fixture(scope="session")
def fresh():
    return Fresh(SHAPE).load()


@pytest.fixture
def tiny(fresh):
    """A function that makes a dense model of the random encoder."""

    def make(*, prompts=None, length=30, pooling="mean", encoder=None, normalize=True):
        prompts = prompts or {"query": "", "document": ""}
        lengths = {"query": length, "document": length}
        tokenizer = Tokenizer(fresh[1], prompts=prompts, lengths=lengths, limit=512)
        model = Dense(encoder or fresh[0], tokenizer, pooling=pooling, normalize=normalize)
        return model.eval()

    return make


@pytest.fixture
def counting(tiny):
    """A dense model whose scores are whole numbers."""
    return tiny(encoder=Counting(30522, 4), pooling="cls", normalize=False)


@pytest.fixture
def texts():
    """A function that draws texts of one to twelve words."""

    def draw(count, seed, longest=12):
        rng = np.random.default_rng(seed)
        return [" ".join(rng.choice(WORDS, rng.integers(1, longest + 1))) for _ in range(count)]

    return draw


@pytest.fixture
def late(fresh):
    """A tiny ColBERT model."""
    torch.manual_seed(0)
    encoder, inner = copy.deepcopy(fresh)
    markers = add_markers(encoder, inner)
    lengths = {"query": 6, "document": 10}
    prompts = {"query": "", "document": ""}
    tokenizer = Tokenizer(inner, prompts=prompts, lengths=lengths, limit=512, markers=markers)
    head = torch.nn.Sequential(Projection(32, 16))
    return ColBERT(encoder, head, tokenizer, expansion="mask").eval()
