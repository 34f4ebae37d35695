import json
import string

import pytest
import torch
from torch import nn

from trivet.core.errors import ArtifactError
from trivet.models.backbone import Fresh
from trivet.models.colbert import ColBERT, add_markers
from trivet.models.colbert_layout import load_colbert, save_colbert
from trivet.models.heads import Projection
from trivet.models.tokens import Tokenizer

SHAPE = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
TEXTS = ["one", "a few more words, here!", "and a text that goes on for quite a while, " * 5]
HEADS = {
    "linear": lambda: [Projection(32, 8)],
    "bias": lambda: [Projection(32, 8, bias=True)],
    "gated": lambda: [
        Projection(32, 64, activation=nn.SiLU(), residual=True, gated=True, bias=True),
        Projection(64, 64, activation=nn.Sigmoid(), residual=True, gated=True),
        Projection(64, 8),
    ],
    "scaled": lambda: [
        Projection(32, 32, activation=nn.GELU(), residual=True, scale=0.3),
        Projection(32, 8),
    ],
    "two layers": lambda: [
        Projection(32, 64, residual=True),
        Projection(64, 64, activation=nn.GELU(), residual=True),
        Projection(64, 8),
    ],
}


def colbert(head="linear", expansion="none", skip=True, length=20, prompts=None) -> ColBERT:
    torch.manual_seed(0)
    encoder, inner = Fresh(SHAPE).load()
    markers = add_markers(encoder, inner)
    lengths = {"query": 9, "document": length}
    prompts = prompts or {"query": "", "document": ""}
    tokenizer = Tokenizer(inner, prompts=prompts, lengths=lengths, limit=512, markers=markers)
    words = [inner.convert_tokens_to_ids(sign) for sign in string.punctuation] if skip else []
    return ColBERT(
        encoder, nn.Sequential(*HEADS[head]()), tokenizer, expansion=expansion, skip=words
    ).eval()


@torch.no_grad()
def bags(model, side, budget=10_000, texts=TEXTS):
    model.budget = budget
    return list(model(model.tokenizer(texts, side).ids, side))


def assert_same(found, expected, tolerance=1e-5):
    assert [len(bag) for bag in found] == [len(bag) for bag in expected]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, torch.as_tensor(other), atol=tolerance, rtol=0)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("expansion", ["none", "mask", "mask_attend"])
def test_pylate_gives_the_same_vectors(head, expansion, tmp_path):
    pylate = pytest.importorskip("pylate.models")
    model = colbert(head, expansion)
    save_colbert(model, tmp_path)
    theirs = pylate.ColBERT(str(tmp_path), device="cpu")
    for side in ("query", "document"):
        expected = theirs.encode(TEXTS, is_query=side == "query", show_progress_bar=False)
        assert_same(bags(model, side), expected)
        assert_same(bags(load_colbert(tmp_path).eval(), side), expected)


def test_what_pylate_saves_is_read_the_same(tmp_path):
    pylate = pytest.importorskip("pylate.models")
    (tmp_path / "ours").mkdir()
    save_colbert(colbert("two layers", "mask"), tmp_path / "ours")
    theirs = pylate.ColBERT(str(tmp_path / "ours"), device="cpu", query_length=16)
    theirs.save(str(tmp_path / "theirs"))
    model = load_colbert(tmp_path / "theirs").eval()
    assert model.tokenizer.lengths == {"query": 16 - 3, "document": 20}
    for side in ("query", "document"):
        expected = theirs.encode(TEXTS, is_query=side == "query", show_progress_bar=False)
        assert_same(bags(model, side), expected)


def test_micro_batches_do_not_change_vectors():
    model = colbert("two layers", "mask")
    for side in ("query", "document"):
        assert_same(bags(model, side, budget=1), bags(model, side), 1e-6)


def test_vectors_are_normal_and_there_is_one_for_each_token_that_counts():
    model = colbert(length=50)
    found = bags(model, "document")
    ids = model.tokenizer(TEXTS, "document").ids
    for bag, row in zip(found, ids, strict=True):
        kept = [i for i in row.tolist() if i not in model.skip]
        assert len(bag) == len(kept) and model.dim == bag.shape[1] == 8
        torch.testing.assert_close(bag.norm(dim=1), torch.ones(len(bag)))


def test_the_marker_stands_second_and_on_top_of_the_content():
    tokenizer = colbert(length=4).tokenizer
    rows = tokenizer(TEXTS, "document").ids
    assert [row[1].item() for row in rows] == [tokenizer.markers["document"]] * 3
    assert rows.lengths.tolist() == [4, 7, 7]  # CLS, marker, content, SEP


def test_expanded_queries_are_all_of_the_full_length():
    assert {len(bag) for bag in bags(colbert(expansion="mask"), "query")} == {9 + 3}
    assert len({len(bag) for bag in bags(colbert(), "query")}) == 3


def test_no_text_is_no_vector():
    model = colbert()
    assert bags(model, "document", texts=[]) == []


def test_saving_and_loading_keeps_lengths_markers_and_prompts(tmp_path):
    model = colbert("two layers", "mask_attend", prompts={"query": "ask: ", "document": ""})
    save_colbert(model, tmp_path)
    again = load_colbert(tmp_path)
    assert again.tokenizer.lengths == model.tokenizer.lengths
    assert again.tokenizer.markers == model.tokenizer.markers
    assert again.tokenizer.prompts == model.tokenizer.prompts
    assert again.expansion == "mask_attend" and again.skip == model.skip
    assert_same(bags(again.eval(), "query"), bags(model, "query"))


def broken(folder, harm):
    if harm == "no head":
        modules = json.loads((folder / "modules.json").read_text())
        (folder / "modules.json").write_text(json.dumps(modules[:1]))
    elif harm == "head without weights":
        (folder / "1_Dense" / "model.safetensors").unlink()
    elif harm == "another size":
        path = folder / "1_Dense" / "config.json"
        path.write_text(path.read_text().replace('"in_features": 32', '"in_features": 16'))
    elif harm == "another activation":
        path = folder / "1_Dense" / "config.json"
        path.write_text(path.read_text().replace("Identity", "Idenity"))
    elif harm == "no marker":
        path = folder / "config_sentence_transformers.json"
        path.write_text(path.read_text().replace("[Q] ", "[Query] "))
    else:
        (folder / "modules.json").unlink()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        ("no head", "has no head"),
        ("head without weights", "no model.safetensors"),
        ("another size", "do not fit"),
        ("another activation", "unknown activation.*Did you mean"),
        ("no marker", r"marker '\[Query\] ' of a query"),
        ("no modules", "not a ColBERT model"),
    ],
)
def test_what_is_no_colbert_model_is_one_line(tmp_path, harm, words):
    save_colbert(colbert(), tmp_path)
    broken(tmp_path, harm)
    with pytest.raises(ArtifactError, match=words) as caught:
        load_colbert(tmp_path)
    assert "\n" not in str(caught.value)
