"""Distillation with a tiny student and a tiny teacher, both drawn at random."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from trivet.core.artifact import Store
from trivet.core.errors import ConfigError, Interrupted
from trivet.core.machine import Machine
from trivet.core.run import Run, Work
from trivet.core.tracker import Jsonl
from trivet.data.columns import Columns
from trivet.data.mixture import Mixture
from trivet.data.sources import Source
from trivet.losses.l2 import L2
from trivet.losses.stella import Stella
from trivet.mining.teachers import ModelTeacher
from trivet.models.backbone import Fresh
from trivet.models.layout import load_dense
from trivet.models.student import Linear, TwoLayer
from trivet.optim.adamw import AdamW
from trivet.optim.schedule import Schedule
from trivet.stages import distill as module
from trivet.stages.distill import Distill
from trivet.stages.start import Lengths, Prompts, Start
from trivet.training.settings import Fit

WORDS = ["red", "green", "blue", "black", "white", "brown", "grey", "pink"]


def shape(hidden):
    return {
        "model_type": "bert",
        "vocab_size": 30522,
        "hidden_size": hidden,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "hidden_dropout_prob": 0.0,
    }


def work(tmp_path, stage, key="k", resume="auto") -> Work:
    run = Run(tmp_path, "run", {}, Store(tmp_path / "store"), tmp_path / "cache", Machine("cpu"),
              Jsonl(), resume)  # fmt: skip
    return Work(run, stage, key * 64, {})


def start(tmp_path, name="student", hidden=32, seed=0, **options):
    stage = Start(backbone=Fresh(shape(hidden), seed=seed), **options)
    return stage.run(None, work(tmp_path, name))


@pytest.fixture
def parent(tmp_path):
    return start(tmp_path, prompts=Prompts("find: ", ""), lengths=Lengths(8, 16))


@pytest.fixture
def teacher(tmp_path):
    return ModelTeacher(str(start(tmp_path, "teacher", 48, seed=1).path))


def texts(tmp_path, kind="texts", **options) -> Source:
    path = tmp_path / "texts.jsonl"
    rows = [{"t": f"{a} and {b}", "p": f"a {b} thing"} for a in WORDS for b in WORDS]
    path.write_text("\n".join(map(json.dumps, rows)))
    columns = Columns(text="t") if kind == "texts" else Columns(query="t", positive="p")
    return Source(options.pop("name", kind), columns, path=str(path), **options)


def stage(sources, teacher, **options) -> Distill:
    fit = {"batch": 16, "precision": "fp32"} | options.pop("fit", {})
    given = {
        "data": Mixture(sources, epochs=options.pop("epochs", 1)),
        "teacher": teacher,
        "loss": L2(False),
        "head": TwoLayer(),
        "optim": AdamW(lr=1e-2, schedule=Schedule("constant")),
        "fit": Fit(**fit),
    }
    return Distill(**(given | options))


def losses(tmp_path, name="distill"):
    lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
    return [row["loss"] for row in map(json.loads, lines) if "loss" in row]


def geometry(folder):
    """The cosines of all two words, as a model sees them."""
    model = load_dense(folder).eval()
    with torch.no_grad():
        vectors = model(model.tokenizer(WORDS, "document").ids)
    return (vectors @ vectors.T)[*torch.triu_indices(8, 8, 1)]


def correlation(one, other):
    return float(torch.corrcoef(torch.stack([one, other]))[0, 1])


@pytest.mark.parametrize(
    ("loss", "head"),
    [(L2(False), Linear()), (Stella(), Linear()), (Stella(cosine=0.0), None)],
    ids=["l2", "stella", "similarities, in 32 dimensions for the teacher's 48"],
)
def test_the_student_moves_towards_its_teacher_and_without_its_head(
    tmp_path, parent, teacher, loss, head
):
    made = stage([texts(tmp_path)], teacher, loss=loss, head=head, epochs=8).run(
        parent, work(tmp_path, "distill")
    )
    found = losses(tmp_path)
    assert found[-1] < 0.7 * found[0]
    want = geometry(Path(teacher.model))
    assert correlation(geometry(made.path), want) > correlation(geometry(parent.path), want) + 0.1


def test_the_head_is_dropped_and_what_is_left_loads_anywhere(tmp_path, parent, teacher):
    from sentence_transformers import SentenceTransformer

    made = stage([texts(tmp_path)], teacher).run(parent, work(tmp_path, "distill"))
    assert {path.name for path in made.path.iterdir()} == {
        path.name for path in parent.path.iterdir()
    }
    model = load_dense(made.path).eval()
    assert model.dim == 32 and model.normalize
    theirs = SentenceTransformer(str(made.path), device="cpu").encode(
        WORDS, prompt_name="query", convert_to_tensor=True
    )
    with torch.no_grad():
        mine = model(model.tokenizer(WORDS, "query").ids)
    torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=0)


def test_without_a_head_the_sizes_must_agree_and_the_vectors_become_the_teachers(
    tmp_path, parent, teacher
):
    source = texts(tmp_path)
    with pytest.raises(ConfigError, match="the student has 32 dimensions, the teacher 48"):
        stage([source], teacher, head=None).run(parent, work(tmp_path, "distill"))
    short = ModelTeacher(teacher.model, dim=32)
    made = stage([source], short, head=None, epochs=8).run(parent, work(tmp_path, "distill"))
    wanted = load_dense(Path(teacher.model)).eval()
    model = load_dense(made.path).eval()
    with torch.no_grad():
        seen = [f"{a} and {b}" for a, b in zip(WORDS, reversed(WORDS), strict=True)]
        mine = model(model.tokenizer(seen, "document").ids)
        theirs = wanted(wanted.tokenizer(seen, "document").ids)[:, :32]
    cosines = torch.nn.functional.cosine_similarity(mine, theirs)
    assert cosines.min() > 0.9


def test_each_text_is_judged_by_the_vector_of_that_text_on_its_side(
    tmp_path, parent, teacher, monkeypatch
):
    """Tokens and targets, as training gets them, for queries, documents and pairs."""
    given = {}

    def fit(model, batches, prepare, loss, **_):
        for i in range(len(batches)):
            batch = batches[i]
            given[batch.source] = (batch, prepare(batch))
        return {}

    monkeypatch.setattr(module, "fit", fit)
    sources = [
        texts(tmp_path, name="queries", side="query"),
        texts(tmp_path, name="documents"),
        texts(tmp_path, "pairs"),
    ]
    taught = ModelTeacher(teacher.model, prompts={"query": "ask: "}, lengths={"document": 3})
    stage(sources, taught).run(parent, work(tmp_path, "distill"))
    student, model = load_dense(parent.path), load_dense(Path(teacher.model)).eval()
    model.tokenizer.prompts["query"] = "ask: "
    model.tokenizer.lengths["document"] = 3

    def check(name, queries, documents):
        prepared = given[name][1]
        rows, wanted = [], []
        for side, found in (("query", queries), ("document", documents)):
            rows += [row.tolist() for row in student.tokenizer(found, side).ids]
            if found:
                with torch.no_grad():
                    wanted.append(model(model.tokenizer(found, side).ids))
        assert [row.tolist() for row in prepared.tokens] == rows
        torch.testing.assert_close(prepared.targets, torch.cat(wanted), atol=1e-3, rtol=0)

    check("queries", given["queries"][0].queries, [])
    check("documents", [], [row[0] for row in given["documents"][0].documents])
    pairs = given["pairs"][0]
    check("pairs", pairs.queries, [row[0] for row in pairs.documents])
    assert given["queries"][0].queries[0] and given["pairs"][0].queries[0]


def test_a_run_that_stopped_ends_with_the_weights_of_one_that_did_not(
    tmp_path, parent, teacher, monkeypatch
):
    source = texts(tmp_path)

    def made(folder, steps):
        settings = {"steps": steps, "save_every": 2}
        place = work(folder, "distill")
        return stage([source], teacher, epochs=2, fit=settings).run(parent, place)

    whole = made(tmp_path / "whole", 6)
    calls = []
    real = L2.__call__

    def dying(self, student, targets):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(self, student, targets)

    with monkeypatch.context() as patch:
        patch.setattr(L2, "__call__", dying)
        with pytest.raises((KeyboardInterrupt, Interrupted)):
            made(tmp_path / "broken", 6)
    again = made(tmp_path / "broken", 6)
    name = "model.safetensors"
    assert again.manifest["files"][name] == whole.manifest["files"][name]
    assert again.manifest["training"]["steps"] == 6


def test_the_teacher_is_asked_once(tmp_path, parent, teacher, monkeypatch):
    asked = []
    real = ModelTeacher.encode

    def encode(self, texts, side, parts, machine):
        asked.append((side, sum(map(len, parts))))
        return real(self, texts, side, parts, machine)

    monkeypatch.setattr(ModelTeacher, "encode", encode)
    for key in "ab":
        place = work(tmp_path, f"distill{key}", key)
        stage([texts(tmp_path, "pairs")], teacher, seed=ord(key)).run(parent, place)
    assert asked == [("query", 64), ("document", 64)]


def test_the_same_seed_gives_the_same_bits_and_another_does_not(tmp_path, parent, teacher):
    digests = []
    for i, seed in enumerate((1, 1, 2)):
        made = stage([texts(tmp_path)], teacher, seed=seed).run(
            parent, work(tmp_path / str(i), "distill")
        )
        digests.append(made.manifest["files"]["model.safetensors"])
    assert digests[0] == digests[1] != digests[2]


def test_the_manifest_tells_what_student_and_teacher_were_trained_on(tmp_path, parent, teacher):
    parent.manifest.update(trained_on=["before"], in_domain=["scifact"])
    made = stage([texts(tmp_path)], teacher).run(parent, work(tmp_path, "distill"))
    assert made.manifest["trained_on"] == ["before", "texts"]
    assert made.manifest["in_domain"] == ["scifact"]
    assert made.manifest["teacher"]["dim"] == 48
    assert made.manifest["teacher"]["truncated"] == {"texts": {"document": 0}}
    assert made.manifest["rows"] == {"texts": 64}


def test_a_stage_without_a_model_before_it_is_refused(tmp_path, teacher):
    with pytest.raises(ConfigError, match="no model to train"):
        stage([texts(tmp_path)], teacher).accept(False)


def test_lengths_hold_from_here_on_and_must_fit(tmp_path, parent, teacher):
    source = texts(tmp_path)
    made = stage([source], teacher, lengths={"document": 3}).run(parent, work(tmp_path, "distill"))
    assert load_dense(made.path).tokenizer.lengths == {"query": 8, "document": 3}
    longer = stage([source], teacher, lengths={"document": 40}).run(parent, work(tmp_path, "more"))
    assert load_dense(longer.path).tokenizer.total("document") == 42  # the parent stopped at 18
    for lengths, match in (({"query": 999}, "999 content tokens do not fit"), ({"q": 3}, "side")):
        with pytest.raises(ConfigError, match=match):
            stage([source], teacher, lengths=lengths).run(parent, work(tmp_path, "other"))
