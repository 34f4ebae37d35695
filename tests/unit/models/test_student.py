import pytest
import torch

from trivet.core.errors import ConfigError
from trivet.models.backbone import Fresh
from trivet.models.dense import Dense
from trivet.models.student import Linear, Student, TwoLayer
from trivet.models.tokens import Tokenizer

SHAPE = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


@pytest.fixture(scope="module")
def dense():
    encoder, inner = Fresh(SHAPE).load()
    lengths = {"query": 20, "document": 20}
    return Dense(encoder, Tokenizer(inner, prompts={}, lengths=lengths, limit=512)).eval()


def pooled(dense, ids):
    raw = Dense(dense.encoder, dense.tokenizer, normalize=False)
    return raw(ids)


def test_the_heads_are_what_they_say_on_what_is_not_yet_normalised(dense):
    ids = dense.tokenizer(["red", "a green thing"], "query").ids
    with torch.no_grad():
        inner = pooled(dense, ids)
        linear = Student(dense, Linear(), 48, normalize=False, seed=0).eval()
        weight, bias = linear.head.linear.weight, linear.head.linear.bias
        torch.testing.assert_close(linear(ids), inner @ weight.T + bias)
        two = Student(dense, TwoLayer(hidden=7), 48, normalize=True, seed=0).eval()
        first, second = (layer.linear for layer in two.head)
        between = inner @ first.weight.T + first.bias
        out = (between / (1 + torch.exp(-between))) @ second.weight.T + second.bias
        torch.testing.assert_close(two(ids), out / out.norm(dim=1, keepdim=True))
        assert first.weight.shape == (7, 32) and second.weight.shape == (48, 7)


def test_the_student_trains_the_models_own_weights_and_leaves_it_as_it_was(dense):
    student = Student(dense, Linear(bias=False), 48, normalize=True, seed=0)
    assert dense.normalize
    ids = dense.tokenizer(["red"], "query").ids
    before = dense(ids)
    assert before.norm().item() == pytest.approx(1.0, abs=1e-6)
    names = {name.partition(".")[0] for name, _ in student.named_parameters()}
    mine = {id(parameter) for parameter in student.parameters()}
    assert names == {"model", "head"}
    assert {id(parameter) for parameter in dense.parameters()} < mine
    assert len(mine) == len({id(parameter) for parameter in dense.parameters()}) + 1


def test_the_heads_numbers_follow_from_its_seed_and_move_no_other(dense):
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    one, same, other = (
        Student(dense, TwoLayer(), 8, normalize=True, seed=seed).head[0].linear.weight
        for seed in (1, 1, 2)
    )
    assert torch.equal(torch.rand(3), want)
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_without_a_head_the_student_is_the_model(dense):
    ids = dense.tokenizer(["red", "green"], "query").ids
    with torch.no_grad():
        found = Student(dense, None, 32, normalize=True, seed=0).eval()(ids)
        torch.testing.assert_close(found, dense(ids))
    with pytest.raises(ConfigError, match="the student has 32 dimensions, the teacher 8"):
        Student(dense, None, 8, normalize=True, seed=0)


def test_a_head_of_no_width_is_refused():
    with pytest.raises(ConfigError, match="hidden"):
        TwoLayer(hidden=0)
