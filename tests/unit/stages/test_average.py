"""Averaging models: what the mean holds, what it says of itself, and what is refused."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from trivet.core.artifact import Store
from trivet.core.errors import ArtifactError, ConfigError
from trivet.core.files import write_json
from trivet.core.machine import Machine
from trivet.core.run import Run, Work
from trivet.core.schema import content
from trivet.core.tracker import Jsonl
from trivet.models.backbone import Fresh
from trivet.models.colbert import ColBERT
from trivet.models.colbert_layout import save_colbert
from trivet.models.dense import Dense
from trivet.models.layout import load_dense, save_dense
from trivet.models.projections import FeedForward, draw
from trivet.models.student import Linear, Student
from trivet.models.tokens import Tokenizer
from trivet.stages.average import Average
from trivet.stages.late import Bags
from trivet.stages.plan import Train, plan
from trivet.stages.protocol import Stage
from trivet.stages.start import Start

SHAPE = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
WEIGHTS = "model.safetensors"


def work(tmp_path, stage="average") -> Work:
    run = Run(tmp_path, "run", {}, Store(tmp_path / "store"), tmp_path / "cache", Machine("cpu"),
              Jsonl())  # fmt: skip
    return Work(run, stage, "k" * 64, {})


@pytest.fixture
def save(tmp_path):
    """A function that saves a model with weights of its own and gives its folder."""

    def make(name, seed, *, shape=SHAPE, prompt="", length=20, pooling="mean", facts=None):
        encoder, inner = Fresh(shape, seed=seed).load()
        prompts, lengths = {"query": prompt, "document": ""}, {"query": 9, "document": length}
        tokenizer = Tokenizer(inner, prompts=prompts, lengths=lengths, limit=512)
        folder = tmp_path / name
        folder.mkdir()
        save_dense(Dense(encoder, tokenizer, pooling=pooling), folder)
        if facts:
            (folder / "manifest.json").write_text(json.dumps({"key": name, **facts}))
        return str(folder)

    return make


def averaged(tmp_path, *models, parent=None, **options):
    return Average(models=list(models), **options).run(parent, work(tmp_path))


def tensors(folder):
    return load_file(f"{folder}/{WEIGHTS}")


def rewrite(folder, change):
    """Change the weights of a saved model."""
    found = tensors(folder)
    save_file(change(found), f"{folder}/{WEIGHTS}", metadata={"format": "pt"})


@pytest.mark.parametrize("weights", [[], [3.0, 1.0]])
def test_every_weight_is_the_mean(save, tmp_path, weights):
    places = [save("a", 1), save("b", 2)]
    made = tensors(averaged(tmp_path, *places, weights=weights).path)
    a, b = map(tensors, places)
    x, y = weights or [1.0, 1.0]
    assert made.keys() == a.keys()
    for name, mean in made.items():
        want = (a[name].double() * x + b[name].double() * y) / (x + y)
        assert torch.equal(mean, want.float())
    moved = [name for name in made if not torch.equal(a[name], b[name])]
    assert all(not torch.equal(made[name], a[name]) for name in moved) and moved


@pytest.mark.parametrize("count", [2, 3, 7])
def test_the_mean_of_equal_models_has_their_very_bits(save, tmp_path, count):
    place = save("a", 1)
    made = averaged(tmp_path, *[place] * count)
    for name, tensor in tensors(place).items():
        assert torch.equal(tensors(made.path)[name], tensor)


def test_plain_sentence_transformers_loads_the_mean_and_so_do_we(save, tmp_path):
    from sentence_transformers import SentenceTransformer

    made = averaged(tmp_path, save("a", 1, prompt="find: "), save("b", 2, prompt="find: "))
    model = load_dense(made.path).eval()
    assert model.tokenizer.prompts["query"] == "find: "
    assert model.tokenizer.lengths == {"query": 9, "document": 20}
    texts = ["a fox", "a whale and a hill"]
    theirs = SentenceTransformer(str(made.path), device="cpu").encode(
        texts, prompt_name="query", convert_to_tensor=True
    )
    with torch.no_grad():
        mine = model(model.tokenizer(texts, "query").ids)
    torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=0)


def test_a_parent_counts_as_the_first(tmp_path):
    parent = Start(backbone=Fresh(SHAPE, seed=5)).run(None, work(tmp_path, "start"))
    other = Start(backbone=Fresh(SHAPE, seed=6)).run(None, work(tmp_path / "other", "start"))
    stage = Average(models=[str(other.path)], weights=[3.0, 1.0])
    assert isinstance(stage, Stage)
    made = stage.run(parent, work(tmp_path))
    a, b = tensors(parent.path), tensors(other.path)
    for name, mean in tensors(made.path).items():
        assert torch.equal(mean, ((3 * a[name].double() + b[name].double()) / 4).float())
    assert [part["weight"] for part in made.manifest["averaged"]] == [3.0, 1.0]
    assert made.manifest["averaged"][0]["model_key"] == parent.key


def test_checkpoints_of_a_run_count_beside_a_whole_model(save, tmp_path):
    whole, step = save("a", 1), tmp_path / "step-00000004"
    step.mkdir()
    model = load_dense(tmp_path / "a")
    shifted = {name: tensor + 1 for name, tensor in model.state_dict().items()}
    save_file(shifted, step / WEIGHTS)
    (step / "state.json").write_text("{}")
    made = averaged(tmp_path, str(step), whole)
    for name, tensor in tensors(whole).items():
        torch.testing.assert_close(tensors(made.path)[name], tensor + 0.5)
    with pytest.raises(ArtifactError, match="checkpoints alone"):
        averaged(tmp_path, str(step), str(step))
    write_json(step / "state.json", {"files": {WEIGHTS: "0" * 64}})
    with pytest.raises(ArtifactError, match=rf"step-00000004/{WEIGHTS}: was changed"):
        averaged(tmp_path, str(step), whole)


@pytest.mark.parametrize("kind", ["distilled", "several layers", "old names", "late interaction"])
def test_checkpoints_of_any_stage_count(save, tmp_path, kind):
    """A head that is dropped, a wrapper, BERT's old names of a norm, a head that stays."""
    save("a", 1)
    model = load_dense(tmp_path / "a")
    whole: torch.nn.Module = model
    if kind == "distilled":
        whole = Student(model, Linear(), 12, normalize=True, seed=0)
    elif kind == "several layers":
        whole = torch.nn.ModuleDict({"model": model})
    elif kind == "late interaction":
        head = draw(FeedForward(dim=4, depth=2), 8, 0)
        late = ColBERT(model.encoder, head, model.tokenizer)
        (tmp_path / "late").mkdir()
        save_colbert(late, tmp_path / "late")
        whole = Bags(late)
    step = tmp_path / "step-00000004"
    step.mkdir()
    save_file({name: tensor + 1 for name, tensor in whole.state_dict().items()}, step / WEIGHTS)
    (step / "state.json").write_text("{}")
    folder = tmp_path / ("late" if kind == "late interaction" else "a")
    if kind == "old names":
        names = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}

        def renamed(name):
            for new, old in names.items():
                name = name.replace(new, old)
            return name

        rewrite(folder, lambda found: {renamed(name): value for name, value in found.items()})
    made = averaged(tmp_path, str(folder), str(step))
    files = [path.relative_to(folder) for path in folder.rglob("*.safetensors")]
    assert len(files) == (3 if kind == "late interaction" else 1)
    for file in files:
        for name, tensor in load_file(folder / file).items():
            torch.testing.assert_close(load_file(made.path / file)[name], tensor + 0.5)


def test_half_precision_stays_and_is_averaged_in_more(save, tmp_path):
    places = [save("a", 1), save("b", 2), save("c", 3)]
    for place in places:
        rewrite(place, lambda found: {name: t.bfloat16() for name, t in found.items()})
    made = tensors(averaged(tmp_path, *places).path)
    parts = [tensors(place) for place in places]
    for name, mean in made.items():
        exact = sum(part[name].double() for part in parts) / 3
        assert torch.equal(mean, exact.bfloat16())


def test_the_weights_say_their_format_as_transformers_asks(save, tmp_path):
    made = averaged(tmp_path, save("a", 1), save("b", 2))
    with safe_open(made.path / WEIGHTS, framework="pt") as stream:
        assert stream.metadata() == {"format": "pt"}


def test_the_mean_was_trained_on_all_that_its_parts_were(save, tmp_path):
    one = save("a", 1, facts={"trained_on": ["x", "y"], "in_domain": ["fiqa"], "seed": 3})
    two = save("b", 2, facts={"trained_on": ["y", "z"], "in_domain": ["nq"], "seed": 3})
    manifest = averaged(tmp_path, one, two).manifest
    assert manifest["trained_on"] == ["x", "y", "z"]
    assert manifest["in_domain"] == ["fiqa", "nq"]
    assert manifest["seed"] == 3


def test_one_part_of_unknown_training_makes_the_mean_unknown(save, tmp_path):
    one = save("a", 1, facts={"trained_on": ["x"], "in_domain": ["fiqa"], "seed": 3})
    manifest = averaged(tmp_path, one, save("b", 2)).manifest
    assert manifest["trained_on"] is None
    assert manifest["in_domain"] == ["fiqa"]
    assert manifest["seed"] is None


def drop(found):
    return {name: tensor for name, tensor in found.items() if "word_emb" not in name}


def halve(found):
    return {name: tensor.half() for name, tensor in found.items()}


@pytest.mark.parametrize(
    ("options", "change", "match"),
    [
        ({"shape": SHAPE | {"hidden_size": 16}}, None, r"hidden_size of config\.json: 8 here, 16"),
        ({"shape": SHAPE | {"num_hidden_layers": 2}}, None, "num_hidden_layers"),
        ({"pooling": "cls"}, None, r"pooling_mode_cls_token of 1_Pooling/config\.json"),
        ({"prompt": "find: "}, None, "prompts of config_sentence_transformers"),
        ({"length": 21}, None, "max_seq_length of sentence_bert_config"),
        ({}, drop, "word_embeddings.weight of model.safetensors is only here"),
        ({}, halve, r"float32 \[.*\] here, float16 \[.*\] there"),
    ],
)
def test_models_that_differ_are_refused_in_one_line_that_names_it(
    save, tmp_path, options, change, match
):
    one, two = save("a", 1), save("b", 2, **options)
    if change:
        rewrite(two, change)
    with pytest.raises(ArtifactError, match=match) as caught:
        averaged(tmp_path, one, two)
    assert "\n" not in str(caught.value) and one in str(caught.value) and two in str(caught.value)
    assert not list((tmp_path / "store").glob("average-*"))


def test_another_tokenizer_is_refused(save, tmp_path):
    one, two = save("a", 1), save("b", 2)
    words = json.loads((tmp_path / "b" / "tokenizer.json").read_text())
    words["normalizer"]["lowercase"] = not words["normalizer"]["lowercase"]
    (tmp_path / "b" / "tokenizer.json").write_text(json.dumps(words))
    with pytest.raises(ArtifactError, match=r"normalizer of tokenizer\.json"):
        averaged(tmp_path, one, two)


def test_the_key_follows_what_the_models_hold_and_not_where_they_lie(save, tmp_path):
    one, two = save("a", 1), save("b", 2)

    def key(*models, **options):
        stages = {"average": Average(models=list(models), **options)}
        return plan(Train(stages=stages, out=str(tmp_path / "out")))[0].key

    first = key(one, two)
    (tmp_path / "elsewhere").mkdir()
    moved = (tmp_path / "a").rename(tmp_path / "elsewhere" / "a")
    assert key(str(moved), two) == first
    assert key(two, str(moved)) != first
    assert key(str(moved), two, weights=[2.0, 1.0]) != first
    rewrite(two, lambda found: {name: tensor + 1 for name, tensor in found.items()})
    assert key(str(moved), two) != first
    assert "models" not in content(Average(models=[str(moved), two]))


def test_what_cannot_be_averaged_is_refused_before_anything_runs(save, tmp_path):
    one = save("a", 1)
    Average(models=[one]).accept(True)
    with pytest.raises(ConfigError, match="no average"):
        Average(models=[one]).accept(False)
    with pytest.raises(ConfigError, match=r"2 weights for 3 models \(the parent is one\)"):
        Average(models=[one, one], weights=[1.0, 1.0]).accept(True)
    with pytest.raises(ConfigError, match="above 0"):
        Average(models=[one, one], weights=[1.0, 0.0])
    (tmp_path / "empty").mkdir()
    for place, match in ((tmp_path / "no", "not a folder"), (tmp_path / "empty", "modules.json")):
        with pytest.raises(ArtifactError, match=match):
            content(Average(models=[one, str(place)]))
