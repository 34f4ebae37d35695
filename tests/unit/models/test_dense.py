import pytest
import torch
import yaml

from trivet.core.errors import ArtifactError, ConfigError
from trivet.core.layers import fast_layers
from trivet.core.places import config_folder
from trivet.models.attention import attention, plain
from trivet.models.backbone import Fresh, Pretrained, keep_layers
from trivet.models.dense import Dense
from trivet.models.layout import load_dense, save_dense
from trivet.models.tokens import Tokenizer

SHAPE = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
MODERN = {
    "model_type": "modernbert",
    "vocab_size": 30522,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "global_attn_every_n_layers": 2,
    "pad_token_id": 0,
}
DECODER = {
    "model_type": "qwen3",
    "vocab_size": 30522,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "pad_token_id": 0,
}
TEXTS = ["one", "a few more words here", "and a text that goes on for quite a while, " * 5]


def dense(pooling="mean", prompts=None, length=30, shape=SHAPE) -> Dense:
    encoder, inner = Fresh(shape).load()
    prompts = prompts or {"query": "", "document": ""}
    lengths = {"query": length, "document": length}
    return Dense(encoder, Tokenizer(inner, prompts=prompts, lengths=lengths, limit=512),
                 pooling=pooling).eval()  # fmt: skip


@torch.no_grad()
def vectors(model: Dense, side="document", budget=10_000):
    model.budget = budget
    return model(model.tokenizer(TEXTS, side).ids)


@pytest.mark.parametrize(
    ("pooling", "shape"), [("mean", SHAPE), ("cls", SHAPE), ("last", SHAPE), ("last", DECODER)]
)
def test_sentence_transformers_gives_the_same_vectors(pooling, shape, tmp_path):
    from sentence_transformers import SentenceTransformer

    shape = shape | {"initializer_range": 0.3}  # so that what is pooled matters
    model = dense(pooling, {"query": "ask: ", "document": "say: "}, shape=shape)
    save_dense(model, tmp_path)
    theirs = SentenceTransformer(str(tmp_path), device="cpu")
    for side in ("query", "document"):
        expected = theirs.encode(TEXTS, prompt_name=side, convert_to_tensor=True)
        torch.testing.assert_close(vectors(model, side), expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(vectors(load_dense(tmp_path).eval(), side), expected,
                                   atol=1e-5, rtol=0)  # fmt: skip


def test_micro_batches_do_not_change_vectors():
    model = dense()
    torch.testing.assert_close(vectors(model, budget=1), vectors(model), atol=1e-6, rtol=0)


@pytest.mark.parametrize("shape", [SHAPE, MODERN, DECODER], ids=lambda s: s["model_type"])
@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
@torch.no_grad()
def test_the_vector_of_a_layer_is_that_of_a_model_cut_to_it(shape, pooling):
    shape = shape | {"initializer_range": 0.3}  # so that layers differ
    model = dense(pooling, shape=shape)
    layers = list(range(1, shape["num_hidden_layers"] + 1))
    tokens = model.tokenizer(TEXTS, "document").ids
    found = model(tokens, layers=layers[::-1])  # (N, K, D), in the order asked for
    for k, layer in enumerate(layers[::-1]):
        cut = dense(pooling, shape=shape)
        keep_layers(cut.encoder, layer)
        torch.testing.assert_close(found[:, k], cut(tokens), atol=1e-6, rtol=0)
    torch.testing.assert_close(found[:, 0], model(tokens), atol=0, rtol=0)
    assert not torch.allclose(found[:, 0], found[:, 1], atol=1e-3)


def test_micro_batches_do_not_change_the_vectors_of_layers():
    model = dense()
    tokens = model.tokenizer(TEXTS, "document").ids
    with torch.no_grad():
        model.budget = 10_000
        whole = model(tokens, layers=[1, 2])
        model.budget = 1
        torch.testing.assert_close(model(tokens, layers=[1, 2]), whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize("layers", [[], [0], [1, 3]])
def test_layers_that_there_are_not_are_refused(layers):
    model = dense()
    with pytest.raises(ConfigError, match="between 1 and 2"):
        model(model.tokenizer(TEXTS, "document").ids, layers=layers)


def test_lengths_count_content_and_prompts_come_on_top():
    tokenizer = dense(prompts={"query": "ask: ", "document": ""}, length=4).tokenizer
    assert tokenizer(TEXTS, "document").ids.lengths.tolist() == [3, 6, 6]
    assert tokenizer(TEXTS, "query").ids.lengths.tolist() == [5, 8, 8]
    assert tokenizer(TEXTS, "document").truncated == 2
    tokenizer.limit = 5
    assert tokenizer.total("query") == 5


@pytest.mark.parametrize(
    ("name", "count"), [("ettin17m_random", 16_797_440), ("ettin32m_random", 31_883_136)]
)
def test_ettins_shapes_have_its_parameters(name, count):
    text = (config_folder() / "backbone" / f"{name}.yaml").read_text()
    encoder, _ = Fresh(yaml.safe_load(text)["architecture"]).load()
    assert sum(p.numel() for p in encoder.parameters()) == count


def test_random_weights_do_not_move_the_runs_generator():
    torch.manual_seed(1)
    first = torch.rand(1)
    torch.manual_seed(1)
    Fresh(SHAPE, seed=5).load()
    assert torch.equal(torch.rand(1), first)


def test_the_first_layers_can_be_kept_alone(tmp_path):
    save_dense(dense(), tmp_path)
    encoder, _ = Pretrained(path=str(tmp_path), layers=1).load()
    assert len(encoder.encoder.layer) == encoder.config.num_hidden_layers == 1
    with pytest.raises(ConfigError, match="between 1 and 2"):
        Pretrained(path=str(tmp_path), layers=3).load()


def test_what_is_not_a_dense_model_is_refused_in_one_line(tmp_path):
    with pytest.raises(ArtifactError, match=r"no modules\.json"):
        load_dense(tmp_path)
    save_dense(dense(), tmp_path)
    modules = (tmp_path / "modules.json").read_text()
    (tmp_path / "modules.json").write_text(modules.replace("Normalize", "Dense"))
    with pytest.raises(ArtifactError, match="Transformer, Pooling, Dense"):
        load_dense(tmp_path)


def test_a_checksum_or_a_package_that_is_not_there_is_refused(tmp_path):
    save_dense(dense(), tmp_path)
    with pytest.raises(ConfigError, match="checksum"):
        Pretrained(path=str(tmp_path), checksums={"model.safetensors": "0"}).load()
    with pytest.raises(ConfigError, match=r"trivet\[demo\]"):
        Pretrained(package="no_such_package:model").load()


def test_plain_attention_equals_the_fused_one_forward_and_backward():
    draw = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, 5, 4, generator=draw, requires_grad=True) for _ in range(3))
    mask = torch.ones(2, 1, 5, 5, dtype=torch.bool)
    mask[1, :, :, 3:] = False
    mine = plain(torch.nn.Identity(), q, k, v, mask, None, 0.0)
    theirs = torch.nn.functional.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2)
    torch.testing.assert_close(mine, theirs)
    grads = [torch.autograd.grad(out.sin().sum(), (q, k, v)) for out in (mine, theirs)]
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)


def test_a_decoder_looks_back_only_where_plain_products_would_be_faster():
    module = torch.nn.Identity()
    module.is_causal = True
    q, k, v = (torch.randn(1, 2, 5, 4).bfloat16() for _ in range(3))
    whole, _ = attention(module, q, k, v, None)  # (1, L, H, D)
    first, _ = attention(module, q[:, :, :2], k[:, :, :2], v[:, :, :2], None)
    torch.testing.assert_close(whole[:, :2], first, atol=1e-2, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_in_attention_draws_the_same_with_a_graph_and_without(dtype):
    q, k, v = (torch.randn(1, 2, 5, 4, dtype=dtype, requires_grad=True) for _ in range(3))

    def drawn():
        torch.manual_seed(0)
        with fast_layers(learning=True):
            return attention(torch.nn.Identity(), q, k, v, None, dropout=0.5)[0]

    with torch.no_grad():
        before = drawn()
    assert torch.equal(before, drawn()) and not torch.equal(
        before, attention(torch.nn.Identity(), q, k, v, None)[0]
    )
