"""Published ColBERT recipes: what each says, and how it differs from its neighbour.

Typed by hand: JaColBERTv2.5 (arXiv 2407.20750, table 7), PyLate's script of GTE-ModernColBERT,
ColBERT-Zero (arXiv 2602.16609), answerai-colbert-small's announcement.
"""

from __future__ import annotations

from functools import cache

import pytest
from hydra import compose, initialize_config_dir

from trivet.cli.compose import container, prepare
from trivet.core.places import config_folder
from trivet.core.schema import build
from trivet.losses.infonce import InfoNCE
from trivet.losses.kl import KL
from trivet.stages.pipeline import run
from trivet.stages.plan import plan

REPORT = ("edge17m", "colbert")
JA = ("jacolbertv25", "colbert")
GTE = ("gte_moderncolbert", "colbert")
ZERO = [("colbert_zero", stage) for stage in ("unsupervised", "supervised", "distilled")]
FIRST, SECOND = (("answerai_small", stage) for stage in ("first", "second"))
THIRD = ("answerai_small_gemma", "first")


def composed(*words):
    prepare()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return container(compose("train", overrides=list(words)))


@cache
def recipe(exp):
    return build(composed(f"+exp={exp}"))


def values(exp, name):
    stage = recipe(exp).stages[name]
    (term,) = stage.losses.values()
    return {
        "lr": stage.optim.lr,
        "warmup": stage.optim.schedule.warmup,
        "batch": stage.fit.batch * stage.fit.accumulate,
        "clip": stage.fit.clip,
        "ways": stage.ways,
        "document": stage.lengths["document"] + 3,  # markers and specials
        "dim": None if stage.head is None else stage.head.dim,
        "loss": type(term.loss),
        "temperature": getattr(term.loss, "temperature", None),
        "teacher": term.loss.teacher.normalize if isinstance(term.loss, KL) else None,
        "data": stage.data.sources[0].name,
        "epochs": stage.data.epochs,
    }


DIFFERENCES = [  # neighbours, and three values in which the second is not the first
    (REPORT, JA, {"lr": 3e-5, "ways": None, "clip": 0.0}),
    (JA, GTE, {"data": "msmarco-gemma", "epochs": 3, "warmup": 0.0}),
    (GTE, ZERO[0], {"loss": InfoNCE, "lr": 3e-4, "batch": 16_384}),
    (ZERO[0], ZERO[1], {"temperature": 0.2, "lr": 8e-6, "document": 512}),
    (ZERO[1], ZERO[2], {"loss": KL, "lr": 4e-6, "batch": 128}),
    (ZERO[2], FIRST, {"dim": 96, "warmup": 0.05, "document": 300}),
]


@pytest.mark.parametrize(("one", "other", "changed"), DIFFERENCES)
def test_a_recipe_differs_from_its_neighbour_as_was_published(one, other, changed):
    before, after = values(*one), values(*other)
    assert len(changed) == 3
    for name, value in changed.items():
        assert after[name] == value != before[name]


def test_the_three_runs_that_are_averaged_differ_in_their_data_and_their_beginning():
    assert [values(*at)["data"] for at in (FIRST, SECOND, THIRD)] == [
        "msmarco-m3", "msmarco", "msmarco-gemma",
    ]  # fmt: skip
    heads = [recipe(exp).stages[name].head is None for exp, name in (FIRST, SECOND, THIRD)]
    assert heads == [False, True, False]  # the second goes on from the first
    sources = recipe("answerai_small").stages["second"].data.sources
    assert sum(source.limit for source in sources) == 2_500_000
    assert {source.limit for source in sources} == {500_000}


def test_the_answer_of_three_runs_is_their_mean(tmp_path):
    words = ["debug=offline", "debug.steps=4", f"out={tmp_path}/out", f"cache={tmp_path}/cache"]
    made = {}
    for exp in ("answerai_small", "answerai_small_gemma"):
        config = composed(f"+exp={exp}", *words)
        train = build(config)
        run(train, plan(train), config)
        made |= {(exp, step.name): step.artifact for step in plan(train)}
    folders = ",".join(str(made[at].path) for at in (FIRST, SECOND, THIRD))
    config = composed(
        "+stage@stages.average=average", f"stages.average.models=[{folders}]", *words[2:]
    )
    train = build(config)
    artifact = run(train, plan(train), config)
    assert len(artifact.manifest["averaged"]) == 3
