import pytest
import torch
from torch import nn

from trivet.core.errors import ConfigError
from trivet.models.heads import Projection, load_projection, one_map, refuse_beyond, save_projection
from trivet.models.projections import FeedForward, draw

HIDDEN = torch.randn(5, 12, generator=torch.Generator().manual_seed(0))


def shapes(head):
    return [(layer.linear.in_features, layer.linear.out_features) for layer in head]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"dim": 4}, [(12, 4)]),
        ({"dim": 4, "depth": 2, "factor": 2.0}, [(12, 24), (24, 4)]),
        ({"dim": 4, "depth": 3, "factor": 0.5}, [(12, 6), (6, 6), (6, 4)]),
        ({"dim": 4, "depth": 3, "widths": [24, 12]}, [(12, 24), (24, 12), (12, 4)]),
    ],
)
def test_layers_are_as_wide_as_they_are_said_to_be(fields, expected):
    assert shapes(draw(FeedForward(**fields), 12, 0)) == expected


def test_the_parts_do_what_they_say():
    """act(W x) + s R x, layer by layer, in plain products."""
    made = FeedForward(dim=4, depth=3, widths=[24, 24], activation="gelu", residual=True, scale=0.5,
                       bias=True)  # fmt: skip
    head = draw(made, 12, 0).eval()
    x = HIDDEN
    for i, layer in enumerate(head):
        out = x @ layer.linear.weight.T + layer.linear.bias
        if i < 2:
            added = x @ layer.residual.weight.T if i == 0 else x
            out = nn.functional.gelu(out) + 0.5 * added
        x = out
    torch.testing.assert_close(head(HIDDEN), x)


@pytest.mark.parametrize("activation", ["identity", "sigmoid"])
def test_a_gate_multiplies(activation):
    head = draw(FeedForward(dim=4, depth=2, gated=True, activation=activation), 12, 0)
    values, gate = (HIDDEN @ part.weight.T for part in (head[0].linear, head[0].gate))
    gate = gate.sigmoid() if activation == "sigmoid" else gate
    torch.testing.assert_close(head(HIDDEN), (values * gate) @ head[1].linear.weight.T)


def test_dropout_is_for_training_alone():
    head = draw(FeedForward(dim=4, depth=2, dropout=0.5), 12, 0)
    assert not torch.equal(head.train()(HIDDEN), head(HIDDEN))
    assert torch.equal(head.eval()(HIDDEN), head(HIDDEN))


@pytest.mark.parametrize("init", ["identity", "orthogonal"])
def test_what_a_residual_map_is_at_first(init):
    fields = {"dim": 4, "depth": 2, "residual": True, "residual_init": init}
    weight = draw(FeedForward(**fields), 12, 0)[0].residual.weight  # (24, 12)
    torch.testing.assert_close(weight.T @ weight, torch.eye(12), atol=1e-5, rtol=0)
    assert torch.equal(weight, torch.eye(24, 12)) is (init == "identity")


def test_numbers_follow_from_the_seed_and_move_no_other():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    one, again, other = (draw(FeedForward(dim=4), 12, seed)[0].linear.weight for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one, again) and not torch.equal(one, other)


@pytest.mark.parametrize(
    "fields",
    [
        {"depth": 2, "residual": True, "scale": 0.3},
        {"depth": 3, "widths": [12, 24], "residual": True, "scale": 0.3},
        {"depth": 2, "residual": True, "scale": 0.3, "activation": "relu"},
        {"depth": 4, "bias": True},
        {"depth": 3, "gated": True, "activation": "silu", "residual": True, "bias": True},
    ],
)
def test_what_is_saved_gives_equal_outputs_without_scales(fields, tmp_path):
    head = draw(FeedForward(dim=4, **fields), 12, 0).eval()
    read = nn.Sequential()
    for i, layer in enumerate(head):
        (tmp_path / str(i)).mkdir()
        save_projection(layer, tmp_path / str(i))
        read.append(load_projection(tmp_path / str(i)))
    assert not any("scale" in name for name, _ in read.named_parameters())
    torch.testing.assert_close(read(HIDDEN), head(HIDDEN), atol=1e-6, rtol=0)


@pytest.mark.parametrize("gated", [False, True])
def test_a_scale_that_pylate_has_no_place_for_is_kept_and_refused_where_it_must_load(
    tmp_path, gated
):
    fields = {"dim": 4, "depth": 2, "widths": [12], "residual": True, "scale": 0.3}
    head = draw(FeedForward(**fields, activation="gelu", gated=gated), 12, 0)
    save_projection(head[0], tmp_path)
    read = load_projection(tmp_path)
    assert float(read.scale.detach()) == pytest.approx(0.3)
    torch.testing.assert_close(read(HIDDEN), head[0](HIDDEN))
    what = "gates" if gated else "a scaled residual beside GELU"
    with pytest.raises(ConfigError, match=f"a head with {what} loads in PyLate only"):
        refuse_beyond(list(head), where="plain", fix="x")


@pytest.mark.parametrize(
    "fields",
    [
        {"depth": 1},
        {"depth": 3, "residual": True, "scale": 0.5},
        {"depth": 3, "widths": [12, 24], "residual": True, "bias": True},
    ],
)
def test_linear_layers_fold_to_one_with_equal_outputs(fields):
    head = draw(FeedForward(dim=4, **fields), 12, 0).eval()
    one = one_map(list(head))
    assert isinstance(one, Projection) and shapes([one]) == [(12, 4)]
    torch.testing.assert_close(one(HIDDEN), head(HIDDEN), atol=1e-5, rtol=0)


def test_what_is_not_linear_does_not_fold():
    head = draw(FeedForward(dim=4, depth=2, activation="silu"), 12, 0)
    with pytest.raises(ConfigError, match="SiLU is not linear"):
        one_map(list(head))
    gated = draw(FeedForward(dim=4, depth=2, gated=True), 12, 0)
    with pytest.raises(ConfigError, match="a gate is not linear"):
        one_map(list(gated))


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"dim": 0}, "above 0"),
        ({"dim": 4, "depth": 5}, "between 1 and 4"),
        ({"dim": 4, "depth": 3, "widths": [8]}, "widths: must be 2, of the layers in between"),
        ({"dim": 4, "activation": "relu"}, "activation: has no effect"),
        ({"dim": 4, "residual": True}, "residual: has no effect"),
        ({"dim": 4, "gated": True}, "gated: has no effect"),
        ({"dim": 4, "depth": 2, "scale": 1.0}, "scale: has no effect"),
        ({"dim": 4, "depth": 2, "residual_init": "identity"}, "residual_init: has no effect"),
        ({"dim": 4, "factor": 4.0}, "factor: has no effect"),
        ({"dim": 4, "depth": 2, "factor": 4.0, "widths": [24]}, "factor: has no effect"),
        ({"dim": 4, "depth": 2, "dropout": 1.0}, "below 1"),
        ({"dim": 16}, "16 dimensions are more than the encoder's 12"),
    ],
)
def test_settings_without_effect_are_refused(fields, match):
    with pytest.raises(ConfigError, match=match):
        draw(FeedForward(**fields), 12, 0)


@pytest.mark.parametrize("sizes", [{"depth": 2, "factor": 1.0}, {"depth": 3, "widths": [12, 12]}])
def test_an_init_is_refused_where_no_residual_has_a_map(sizes):
    head = FeedForward(dim=4, residual=True, residual_init="identity", **sizes)
    with pytest.raises(ConfigError, match="residual_init: has no effect where no residual"):
        draw(head, 12, 0)
