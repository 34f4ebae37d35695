"""What is exported gives our vectors, in whichever library or runtime reads it."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from trivet.core.card import write_card
from trivet.core.errors import ArtifactError, ConfigError
from trivet.models.backbone import Fresh
from trivet.models.colbert import ColBERT, add_markers
from trivet.models.colbert_layout import load_colbert, save_colbert
from trivet.models.dense import Dense
from trivet.models.export import export, load_any
from trivet.models.heads import Projection
from trivet.models.layout import save_dense
from trivet.models.onnx import save_onnx
from trivet.models.splade import split_head
from trivet.models.tokens import Tokenizer

SIZES = {
    "vocab_size": 30522,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
}
TOKENS = {"pad_token_id": 0, "cls_token_id": 101, "sep_token_id": 102}
SHAPES = {
    "bert": {"model_type": "bert", **SIZES},
    "modernbert": {  # the first layer sees all, the others a window of nine tokens
        "model_type": "modernbert", "local_attention": 8, "bos_token_id": 101, "eos_token_id": 102,
        **SIZES, **TOKENS,
    },
}  # fmt: skip
TEXTS = ["one", "A few MORE words, here!", "and a text that goes on for quite a while, " * 5]
SIDES = ("query", "document")


def parts(shape="bert", *, marked=True, **options):
    torch.manual_seed(0)
    encoder, inner = Fresh(SHAPES[shape]).load()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.mul_(3 if parameter.ndim > 1 else 1)  # else all vectors are nearly one
    lengths, prompts = {"query": 9, "document": 40}, {"query": "ask: ", "document": ""}
    markers = add_markers(encoder, inner) if marked else {}
    given = {"prompts": prompts, "lengths": lengths, "limit": 512, "markers": markers}
    return encoder.eval(), Tokenizer(inner, **(given | options))


def colbert(shape="bert", *, expansion="none", skip=True, gated=False, **options) -> ColBERT:
    encoder, tokenizer = parts(shape, **options)
    head = [Projection(32, 64, activation=nn.GELU(), residual=True, gated=gated), Projection(64, 8)]
    words = tokenizer.inner.convert_tokens_to_ids([",", "!", "|"]) if skip else []
    return ColBERT(encoder, nn.Sequential(*head), tokenizer, expansion=expansion, skip=words).eval()


def dense(shape="bert", **options) -> Dense:
    encoder, tokenizer = parts(shape, marked=False)
    return Dense(encoder, tokenizer, **options).eval()


def splade():
    from transformers import AutoConfig, AutoModelForMaskedLM

    _, tokenizer = parts(marked=False)
    fields = {name: size for name, size in SHAPES["bert"].items() if name != "model_type"}
    return split_head(
        AutoModelForMaskedLM.from_config(AutoConfig.for_model("bert", **fields)), tokenizer
    ).eval()


@torch.no_grad()
def ours(model, side, texts=TEXTS):
    ids = model.tokenizer(texts, side).ids
    return list(model(ids, side) if isinstance(model, ColBERT) else model(ids))


def assert_same(found, expected, tolerance):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(torch.as_tensor(one), other, atol=tolerance, rtol=0)


def code_of(folder, nth=0):
    """The Python lines of a card, MODEL replaced."""
    block = (folder / "README.md").read_text().split("```python\n")[1 + nth].split("```")[0]
    return compile(block.replace("MODEL", str(folder)), "card", "exec")


@pytest.fixture
def v6():
    """sentence-transformers, where it is version 6."""
    library = pytest.importorskip("sentence_transformers")
    if not hasattr(library, "MultiVectorEncoder"):
        pytest.skip(f"sentence-transformers {library.__version__} knows no multi-vector models")
    return library


def graph(folder):
    """A function from a batch of token ids and a mask to what the exported graph makes of them."""
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    return lambda ids, mask: session.run(
        None, {"input_ids": ids.numpy(), "attention_mask": mask.long().numpy()}
    )[0]


@pytest.fixture
def onnx():
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")


@pytest.mark.parametrize(
    ("shape", "form"),
    [
        ("bert", "mean"),
        ("bert", "last"),
        ("bert", "unnormalised"),
        ("bert", "colbert"),
        ("modernbert", "cls"),
        ("modernbert", "colbert"),
    ],
)
def test_the_onnx_graph_gives_our_vectors_at_any_number_and_length_of_texts(
    onnx, tmp_path, shape, form
):
    options = {"normalize": False} if form == "unnormalised" else {"pooling": form}
    model = colbert(shape, skip=False) if form == "colbert" else dense(shape, **options)
    save_onnx(model, tmp_path)
    run = graph(tmp_path)
    for texts in (TEXTS[:1], TEXTS, TEXTS[::-1] + TEXTS):
        ids, mask = model.tokenizer(texts, "document").ids.pad(model.tokenizer.pad)
        found = run(ids, mask)
        if form == "colbert":
            assert found.shape == (*ids.shape, 8)
            found = [row[seen] for row, seen in zip(found, mask.numpy(), strict=True)]
        assert_same(found, ours(model, "document", texts), 1e-5)


def test_the_onnx_graph_of_a_splade_model_gives_its_weights(onnx, tmp_path):
    model = splade()
    save_onnx(model, tmp_path)
    ids, mask = model.tokenizer(TEXTS, "document").ids.pad(model.tokenizer.pad)
    found = graph(tmp_path)(ids, mask)
    assert found.shape == (3, 30522) and (found > 0).any()
    assert_same(found, ours(model, "document"), 1e-5)


@pytest.mark.parametrize("expansion", ["none", "mask", "mask_attend", "dense"])
def test_the_lines_on_an_onnx_card_give_our_vectors(onnx, tmp_path, expansion):
    options = {"expansion": expansion, "lower": True}
    model = dense() if expansion == "dense" else colbert(**options)
    save_onnx(model, tmp_path)
    write_card(tmp_path, {})
    held = {}
    exec(code_of(tmp_path), held)
    for side in SIDES:
        found = [held["encode"](text, side) for text in TEXTS]
        assert_same(found, ours(model, side), 1e-5)
    assert np.isfinite(held["score"])


def test_writing_a_graph_leaves_the_model_as_it_was(onnx, tmp_path):
    model = colbert().train()
    attention = model.encoder.config._attn_implementation
    save_onnx(model, tmp_path)
    assert model.training and model.encoder.training
    assert model.encoder.config._attn_implementation == attention


def test_pylates_layout_is_written_folded_with_equal_vectors(tmp_path):
    model = colbert(skip=True, expansion="mask")
    model.head[0].activation = nn.Identity()
    for name in ("ours", "folded"):
        (tmp_path / name).mkdir()
    save_colbert(model, tmp_path / "ours")
    export(tmp_path / "ours", tmp_path / "folded", "pylate", fold=True)
    again = load_colbert(tmp_path / "folded").eval()
    assert len(again.head) == 1
    pylate = pytest.importorskip("pylate.models").ColBERT(str(tmp_path / "folded"), device="cpu")
    for side in SIDES:
        assert_same(ours(again, side), ours(model, side), 1e-5)
        theirs = pylate.encode(TEXTS, is_query=side == "query", prompt_name=side)
        assert_same(theirs, ours(model, side), 1e-5)


CASES = [
    {},
    {"shape": "modernbert", "expansion": "mask"},
    {"expansion": "mask_attend", "skip": False},
    {"lower": True, "prompts": {"query": "ASK: ", "document": "SAY: "}},
    {"marked": False},
]


def cased(model):
    """The same with a tokenizer that tells capitals."""
    from tokenizers import normalizers

    inner = model.tokenizer.inner
    inner.backend_tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    return model


@pytest.mark.parametrize("form", ["pylate", "sentence-transformers"])
@pytest.mark.parametrize("options", CASES, ids=str)
def test_sentence_transformers_6_gives_our_vectors(v6, tmp_path, options, form):
    model = cased(colbert(**options))
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    save_colbert(model, tmp_path / "ours")
    export(tmp_path / "ours", tmp_path / "theirs", form)
    theirs = v6.MultiVectorEncoder(str(tmp_path / "theirs"), device="cpu")
    for side in SIDES:
        encode = theirs.encode_query if side == "query" else theirs.encode_document
        assert_same(encode(TEXTS, show_progress_bar=False), ours(model, side), 1e-5)


@pytest.mark.parametrize("options", CASES, ids=str)
def test_the_layout_for_sentence_transformers_6_is_read_with_equal_vectors(tmp_path, options):
    model = cased(colbert(**options))
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    save_colbert(model, tmp_path / "ours")
    export(tmp_path / "ours", tmp_path / "theirs", "sentence-transformers")
    again = load_colbert(tmp_path / "theirs").eval()
    assert again.tokenizer.lengths == model.tokenizer.lengths
    assert again.tokenizer.prompts == model.tokenizer.prompts
    for side in SIDES:
        assert_same(ours(again, side), ours(model, side), 1e-5)


@pytest.mark.parametrize(
    ("file", "change", "match"),
    [
        (
            "sentence_bert_config.json",
            {"query_expansion": {"strategy": "min", "length": 9}},
            "queries filled up to no fixed length",
        ),
        (
            "sentence_bert_config.json",
            {"query_expansion": {"strategy": "fixed", "length": 9, "token": "[PAD]"}},
            r"'\[PAD\]' as a filling",
        ),
        (
            "3_MultiVectorMask/config.json",
            {"skiplist_tasks": ["query"]},
            "tokens skipped of queries",
        ),
    ],
)
def test_what_that_version_alone_can_do_is_refused_by_name(tmp_path, file, change, match):
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    save_colbert(colbert(), tmp_path / "ours")
    export(tmp_path / "ours", tmp_path / "theirs", "sentence-transformers")
    path = tmp_path / "theirs" / file
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ArtifactError, match=match):
        load_colbert(tmp_path / "theirs")


@pytest.mark.parametrize("expansion", [True, False])
def test_a_prompt_counts_in_the_lengths_of_a_model_that_pylate_saved(tmp_path, expansion):
    (tmp_path / "ours").mkdir()
    save_colbert(colbert(), tmp_path / "ours")
    models = pytest.importorskip("pylate.models")
    theirs = models.ColBERT(
        str(tmp_path / "ours"),
        device="cpu",
        prompts={"query": "please ask: ", "document": "say: "},
        query_length=14,
        document_length=20,
        do_query_expansion=expansion,
    )
    theirs.save(str(tmp_path / "theirs"))
    model = load_colbert(tmp_path / "theirs").eval()
    for side in SIDES:
        found = theirs.encode(TEXTS, is_query=side == "query", prompt_name=side)
        assert_same(found, ours(model, side), 1e-5)


def test_the_layout_for_sentence_transformers_6_names_every_module_and_no_pylate(tmp_path):
    """Where version 6 is not installed, this still holds what the vectors depend on."""
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    save_colbert(colbert(expansion="mask"), tmp_path / "ours")
    export(tmp_path / "ours", tmp_path / "theirs", "sentence-transformers")
    read = {
        str(path.relative_to(tmp_path / "theirs")): path.read_text()
        for path in (tmp_path / "theirs").rglob("*.json")
    }
    assert not any("pylate" in text.lower() for text in read.values())
    modules = json.loads(read["modules.json"])
    kinds = [module["type"].rpartition(".")[2] for module in modules]
    assert kinds == ["Transformer", "Dense", "Dense", "MultiVectorMask", "Normalize"]
    assert all((tmp_path / "theirs" / m["path"] / "config.json").is_file() for m in modules)
    prompts = json.loads(read["config_sentence_transformers.json"])["prompts"]
    assert prompts == {"query": "[Q] ask: ", "document": "[D] "}
    expansion = json.loads(read["sentence_bert_config.json"])["query_expansion"]
    assert expansion["length"] == 9 + 2 + 1 + 2  # content, specials, marker, prompt
    assert json.loads(read["3_MultiVectorMask/config.json"])["skiplist_words"] == ["!", ",", "|"]
    from tokenizers import Tokenizer as Fast

    tokens = Fast.from_str(read["tokenizer.json"]).encode("[Q] ask: One").tokens[:4]
    assert tokens == ["[CLS]", "[Q] ", "ask", ":"]


def test_a_dense_model_is_exported_for_sentence_transformers_with_equal_vectors(tmp_path):
    library = pytest.importorskip("sentence_transformers")
    model = dense(pooling="cls")
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    save_dense(model, tmp_path / "ours")
    export(tmp_path / "ours", tmp_path / "theirs", "sentence-transformers")
    theirs = library.SentenceTransformer(str(tmp_path / "theirs"), device="cpu")
    texts = TEXTS[:2]  # longer ones are cut at the longer side's length there
    for side in SIDES:
        found = theirs.encode(texts, prompt_name=side)
        assert_same(found, ours(model, side, texts), 1e-5)


@pytest.mark.parametrize("form", ["pylate", "sentence-transformers"])
def test_a_head_with_gates_is_refused_by_name(tmp_path, form):
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    save_colbert(colbert(gated=True), tmp_path / "ours")
    with pytest.raises(ConfigError, match="a head with gates loads in PyLate only") as caught:
        export(tmp_path / "ours", tmp_path / "theirs", form)
    assert "--format onnx" in str(caught.value)
    assert list((tmp_path / "theirs").iterdir()) == []


def test_a_head_with_gates_has_a_graph(onnx, tmp_path):
    model = colbert(gated=True, skip=False)
    save_onnx(model, tmp_path)
    ids, mask = model.tokenizer(TEXTS[:1], "query").ids.pad(0)
    assert_same(graph(tmp_path)(ids, mask), ours(model, "query", TEXTS[:1]), 1e-5)


def test_what_does_not_fit_a_model_is_refused(tmp_path):
    save_dense(dense(), tmp_path)
    assert isinstance(load_any(tmp_path), Dense)
    with pytest.raises(ConfigError, match="a dense model has no such layout"):
        export(tmp_path, tmp_path, "pylate")
    with pytest.raises(ConfigError, match="only a ColBERT model has a head"):
        export(tmp_path, tmp_path, "sentence-transformers", fold=True)


@pytest.mark.parametrize("kind", ["dense", "colbert", "gated", "multi-vector"])
def test_the_lines_on_a_card_run(tmp_path, kind, request):
    if kind == "multi-vector":
        request.getfixturevalue("v6")
    if kind in ("colbert", "gated"):
        pytest.importorskip("pylate.models")
    source, folder = tmp_path / "ours", tmp_path / "out"
    for made in (source, folder):
        made.mkdir()
    if kind == "gated":
        save_colbert(colbert(gated=True), folder)
    else:
        save_dense(dense(), source) if kind == "dense" else save_colbert(colbert(), source)
        export(source, folder, "pylate" if kind == "colbert" else "sentence-transformers")
    write_card(folder, {})
    held = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(code_of(folder), held)
    assert tuple(held["scores"].shape) == (1, 2)
