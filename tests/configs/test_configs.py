"""Every config composes, names what exists, and every recipe runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir

from trivet.cli.compose import container, prepare
from trivet.core.errors import ConfigError
from trivet.core.places import config_folder
from trivet.core.schema import _locate, build
from trivet.stages.pipeline import run
from trivet.stages.plan import Debug, Train, plan
from trivet.sweep.baseline import check_baseline

ROOT = config_folder()
ALL = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.yaml"))
EXPS = sorted(path.stem for path in (ROOT / "exp").glob("*.yaml"))
IN_A_RECIPE = {"backbone": "stages.start", "data": "stages.pretrain", "optim": "stages.pretrain"}


def composed(name: str, *words: str) -> dict:
    prepare()
    with initialize_config_dir(str(ROOT), version_base="1.3"):
        return container(compose(name, overrides=list(words)))


def targets(node) -> list[str]:
    if isinstance(node, dict):
        own = [node["_target_"]] if "_target_" in node else []
        return own + [found for value in node.values() for found in targets(value)]
    return [found for value in node for found in targets(value)] if isinstance(node, list) else []


@pytest.mark.parametrize("name", ALL)
def test_every_target_is_a_dataclass_that_can_be_imported(name):
    for target in targets(yaml.safe_load((ROOT / name).read_text())):
        _locate(target, name)


@pytest.mark.parametrize("name", [name for name in ALL if name.count("/") == 1])
def test_every_option_composes(name):
    group, option = name.removesuffix(".yaml").split("/")
    if group == "exp":
        words = [f"+exp={option}"]
    elif group == "ablation":
        exp = "tiny" if option == "projection_heads" else "edge17m"
        words = [f"+exp={exp}", f"+ablation={option}"]
    elif group in IN_A_RECIPE:
        words = ["+exp=tiny", f"{group}@{IN_A_RECIPE[group]}.{group}={option}"]
    elif group == "stage":
        words = [f"+stage@stages.{option}={option}"]
        if option not in ("start", "average"):  # the others read data
            words += [f"data@stages.{option}.data=demo"]
    elif group in ("bench", "retriever"):
        config = composed("eval", f"{group}={option}")
        if group == "bench" and "???" not in (ROOT / name).read_text():  # the user names that
            assert build(config["bench"]).tasks
        return
    elif group == "loss":
        if "???" in (ROOT / name).read_text():  # the user names that
            assert composed("train", f"+loss={option}")["loss"]["_target_"]
            return
        assert build(composed("train", f"+loss={option}")["loss"])
        return
    elif group == "mine":
        assert composed("mine", f"mine={option}", "data=demo")["mine"]["_target_"]
        return
    elif group == "reranker":
        assert composed("score", f"reranker@mine.reranker={option}", "data=demo")["mine"]
        return
    elif group == "head":
        words = ["+stage@stages.colbert=colbert", "data@stages.colbert.data=demo"]
        words += [f"head@stages.colbert.head={option}"]
    elif group in ("student", "teacher"):
        place = f"{group}@stages.distill.{'head' if group == 'student' else group}"
        words = ["+stage@stages.distill=distill", f"{place}={option}"]
    else:
        words = [f"{group}={option}"]
    assert composed("train", *words)


def test_leafs_stage_is_the_reports_with_its_own_teacher_head_and_cycles():
    report, leaf = (
        build(composed("train", f"+stage@stages.distill={name}")["stages"]["distill"])
        for name in ("distill", "distill_leaf")
    )
    assert sum(source.limit for source in report.data.sources) == 5_449_200
    assert (report.teacher.dim, leaf.teacher.dim) == (1024, 768)
    assert [type(stage.head).__name__ for stage in (report, leaf)] == ["TwoLayer", "Linear"]
    assert (leaf.data.epochs, leaf.optim.schedule.cycles, leaf.fit.batch) == (30, 3, 32)
    assert report.loss == leaf.loss


VARIANTS = {"jacolbertv25", "gte_moderncolbert", "colbert_zero"}  # of four steps
LARGE = {"mxbai2d"}  # 335M weights: its plan must do here


@pytest.mark.parametrize("exp", sorted(LARGE))
def test_a_large_recipe_has_a_plan_without_a_network(exp, tmp_path):
    words = [f"+exp={exp}", "debug=offline", f"out={tmp_path}/out", f"cache={tmp_path}/cache"]
    assert [step.action for step in plan(build(composed("train", *words)))] == ["run"] * 3


@pytest.mark.parametrize("exp", sorted(set(EXPS) - LARGE))
def test_every_recipe_runs_without_a_network(exp, tmp_path):
    words = [f"+exp={exp}", "debug=offline", f"out={tmp_path}/out", f"cache={tmp_path}/cache"]
    words += ["debug.steps=4"] if exp in VARIANTS else []
    config = composed("train", *words)
    train = build(config)
    assert isinstance(train, Train)
    artifact = run(train, plan(train), config)
    assert artifact is not None and (artifact.path / "manifest.json").is_file()
    assert all(step.action == "reuse" for step in plan(train))


@pytest.mark.parametrize(
    ("words", "steps", "one_batch", "profile", "stand_in"),
    [
        ("", None, False, False, None),
        ("debug=none debug.steps=5", 5, False, False, None),
        ("debug=steps4", 4, False, False, None),
        ("debug=overfit", 100, True, False, None),
        ("debug=overfit debug.steps=7", 7, True, False, None),
        ("debug=profile", 10, False, True, None),
        ("debug=offline", 2, False, False, 4),
    ],
)
def test_a_debug_run_changes_what_its_name_says(words, steps, one_batch, profile, stand_in):
    train = build(composed("train", "+exp=tiny", *words.split()))
    assert train.debug == Debug(steps, one_batch, profile, stand_in)
    assert train.stages["pretrain"].fit.batch == 64


def test_no_config_names_a_folder_of_some_machine():
    for name in ALL:
        text = Path(ROOT / name).read_text()
        assert "/home/" not in text and "/work/" not in text and "/root/" not in text


def each_value(name: str) -> list[list[str]]:
    """The first of every value of an ablation, and then each other one in its place."""
    words = [f"+exp={'edge32m' if 'edge32m' in text(name) else 'edge17m'}", f"+ablation={name}"]
    with initialize_config_dir(str(ROOT), version_base="1.3"):
        params = compose("train", overrides=words, return_hydra_config=True).hydra.sweeper.params
    values = {key: re.findall(r"\[[^]]*\]|[^,]+", str(value)) for key, value in params.items()}
    first = {key: options[0] for key, options in values.items()}
    rows = [first] + [first | {k: v} for k, options in values.items() for v in options[1:]]
    return [[*words, *(f"{key}={value}" for key, value in row.items())] for row in rows]


def text(name: str) -> str:
    return (ROOT / f"ablation/{name}.yaml").read_text()


@pytest.mark.parametrize(
    "name", [name[9:-5] for name in ALL if name.startswith("ablation/colbert_")]
)
def test_every_value_of_an_ablation_is_a_recipe_of_its_own(name):
    assert f"+ablation={name}\n" in text(name)  # it says how it is called
    made = [repr(build(composed("train", *words))) for words in each_value(name)]
    assert len(set(made)) == len(made) > 3


@pytest.mark.parametrize("name", [name[9:-5] for name in ALL if name.startswith("ablation/")])
def test_the_baseline_of_an_ablation_is_one_of_its_levels(name):
    exp = {"projection_heads": "tiny"}.get(
        name, "edge32m" if "edge32m" in text(name) else "edge17m"
    )
    with initialize_config_dir(str(ROOT), version_base="1.3"):
        words = [f"+exp={exp}", f"+ablation={name}"]
        config = compose("train", overrides=words, return_hydra_config=True)
    params = {str(key): str(value) for key, value in config.hydra.sweeper.params.items()}
    baseline = dict(config.baseline)
    check_baseline(baseline, params)
    others = {key: "none of these" for key in baseline}
    with pytest.raises(ConfigError, match="is not a level"):
        check_baseline(others, params)
    assert "exp:" not in text(name)  # it is the user's
    assert name.startswith("pretrain_") or params["seed"] == "1,2,3"
