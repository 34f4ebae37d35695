"""Tokens led back to the text they are from."""

from __future__ import annotations

import copy
from functools import cache

import pytest

from trivet.models.backbone import Fresh
from trivet.models.colbert import ColBERT, add_markers
from trivet.models.projections import FeedForward, draw
from trivet.models.reading import read
from trivet.models.tokens import Tokenizer

SHAPE = {"model_type": "bert", "vocab_size": 30522, "hidden_size": 16, "intermediate_size": 16}
SHAPE |= {"num_hidden_layers": 1, "num_attention_heads": 2}
TEXTS = [
    "A red fox, and an owl.",
    "İstanbul ΑΣ <b>naïve</b> & Ünïcode",
    "שלום עולם, 東京タワー 🦊👩‍🔬!",
    "",
]


@cache
def fresh():
    """One encoder for all: whoever adds markers copies it."""
    return Fresh(SHAPE).load()


def model(**more):
    encoder, inner = copy.deepcopy(fresh())
    prompts = {"query": more.pop("prompt", ""), "document": ""}
    markers = add_markers(encoder, inner)
    lengths = {"query": 24, "document": 40}
    tokenizer = Tokenizer(
        inner, prompts=prompts, lengths=lengths, limit=512, markers=markers,
        lower=more.pop("lower", False),
    )  # fmt: skip
    return ColBERT(encoder, draw(FeedForward(dim=8), 16, 0), tokenizer, **more)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("side", ["query", "document"])
@pytest.mark.parametrize("expansion", ["none", "mask"])
def test_there_is_a_token_for_each_vector_in_its_order(text, side, expansion):
    found = model(expansion=expansion, skip=[1010, 1012])
    tokens = read(found, text, side)
    ids = found.tokenizer([text], side).ids
    assert sum(token.kept for token in tokens) == len(found(ids, side)[0])
    pieces = found.tokenizer.inner.convert_ids_to_tokens(ids[0].tolist())
    assert [token.piece for token in tokens][: len(pieces)] == pieces


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("text", TEXTS[:2])
def test_a_token_stands_where_its_letters_stand(text, lower):
    found = model(lower=lower, prompt="search: ")
    normal = found.tokenizer.inner.backend_tokenizer.normalizer.normalize_str
    tokens = [token for token in read(found, text, "query") if token.kind == "text"]
    for token in tokens:
        letters = text[token.start : token.end]
        piece = token.piece.removeprefix("##").replace("ς", "σ")  # lower() knows the last letter
        assert normal(letters) == piece or token.piece == "[UNK]", token
    ends = [token.end for token in tokens]
    assert ends == sorted(ends) and ends[-1] == len(text)


def test_what_the_model_puts_there_stands_nowhere_and_says_what_it_is():
    found = model(prompt="search: ", expansion="mask", skip=[1010])
    kinds = [token.kind for token in read(found, "red fox", "query")]
    middle = ["special", "marker", "prompt", "prompt", "text", "text", "special"]
    full = found.tokenizer.total("query")
    assert kinds == middle + ["expansion"] * (full - len(middle))
    skipped = [token for token in read(found, "red, fox", "document") if not token.kept]
    assert [(token.piece, token.start) for token in skipped] == [(",", 3)]
