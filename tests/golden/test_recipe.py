"""The published recipe against the configs: every number below was typed from the papers by hand.

Sections are those of the facts they were typed from: 1.0 to 1.4 are mxbai-edge-colbert-v0 (arXiv
2510.14880, tables 1, 2, 14 and 15), 4a is LEAF (arXiv 2509.12539), 5a is table 7 of nomic-embed
(arXiv 2402.01613), 5b is the ModernBERT runs of contrastors, the report's framework. LEAF and
contrastors fill what the report leaves open.
"""

from __future__ import annotations

import re
from functools import cache, reduce

import pytest
from hydra import compose, initialize_config_dir
from torch import nn

from trivet.cli.compose import container, prepare
from trivet.core.places import config_folder
from trivet.core.schema import build
from trivet.losses.angle import Angle
from trivet.losses.espresso import Espresso
from trivet.losses.l2 import L2
from trivet.models.student import Linear, TwoLayer
from trivet.optim.muon import Muon
from trivet.stages.outline import outline
from trivet.stages.plan import plan

ROOT = config_folder()
DOCS = ROOT.parent / "docs" / "recipe.md"
EXPS = ["edge17m", "edge32m"]
# fmt: off
VALUES = [  # section, path in the recipe, 17M, 32M
    ("1.0", "start.backbone.hub", "jhu-clsp/ettin-encoder-17m", "jhu-clsp/ettin-encoder-32m"),
    ("5b", "start.pooling", "mean", "mean"),
    ("5b", "start.lengths.query", 126, 126),        # 128 with [CLS] and [SEP]
    ("5b", "start.lengths.document", 126, 126),
    ("1.2 table 2", "pretrain.optim.lr", 6.0e-4, 5.0e-4),
    ("1.2 table 2", "pretrain.fit.batch", 24_576, 12_288),
    ("1.2", "pretrain.data.order", "sequential", "sequential"),
    ("5b", "pretrain.data.epochs", 1, 1),
    ("5b", "pretrain.loss.temperature", 0.02, 0.02),
    ("5b", "pretrain.optim.weight_decay", 0.01, 0.01),
    ("5b", "pretrain.optim.beta1", 0.9, 0.9),
    ("5b", "pretrain.optim.beta2", 0.999, 0.999),
    ("5b", "pretrain.optim.schedule.shape", "cosine", "cosine"),
    ("5b", "pretrain.optim.schedule.warmup", 700.0, 700.0),
    ("5b", "pretrain.fit.clip", 1.0, 1.0),
    ("1.3", "finetune.loss.ibn_w", 1.0, 1.0),       # the defaults of AnglE's code
    ("1.3", "finetune.loss.cln_w", 1.0, 1.0),
    ("1.3", "finetune.loss.angle_w", 0.02, 0.02),
    ("1.3", "finetune.loss.cosine_w", 0.0, 0.0),
    ("1.3", "finetune.loss.ibn_tau", 20.0, 20.0),
    ("1.3", "finetune.loss.angle_tau", 20.0, 20.0),
    ("1.3", "finetune.loss.cosine_tau", 20.0, 20.0),
    ("5b", "finetune.optim.lr", 2e-5, 2e-5),        # contrastors' supervised run
    ("5b", "finetune.optim.schedule.shape", "linear", "linear"),
    ("5b", "finetune.optim.schedule.warmup", 400.0, 400.0),
    ("5b", "finetune.fit.batch", 256, 256),
    ("5a", "finetune.data.epochs", 1, 1),
    ("1.4", "distill.teacher.model", *["NovaSearch/stella_en_1.5B_v5"] * 2),
    ("1.4", "distill.teacher.dim", 1024, 1024),
    ("4a", "distill.optim.lr", 1e-4, 1e-4),
    ("4a", "distill.optim.schedule.shape", "linear", "linear"),
    ("4a", "distill.optim.schedule.floor", 0.1, 0.1),   # down to 1e-5
    ("4a", "distill.fit.batch", 32, 32),
    ("4a", "distill.data.epochs", 10, 10),
    ("1.5", "colbert.fit.batch", 128, 128),
    ("1.5", "colbert.ways", 16, 16),
    ("1.5 table 6", "colbert.optim.lr", 1e-3, 1e-3),
    ("1.5 table 6", "colbert.optim.adamw.lr", 8e-5, 8e-5),
    ("1.5", "colbert.losses.kl.loss.student.normalize", "minmax", "minmax"),
    ("1.5", "colbert.losses.kl.loss.teacher.normalize", "minmax", "minmax"),
    ("3", "colbert.losses.kl.loss.student.temperature", 1.0, 1.0),
    ("3", "colbert.losses.kl.loss.teacher.temperature", 1.0, 1.0),
    ("1.6", "colbert.head.dim", 48, 64),
    ("1.6", "colbert.expansion", "none", "none"),
    ("6a", "colbert.optim.momentum", 0.95, 0.95),
    ("6a", "colbert.optim.steps", 5, 5),
    ("6a", "colbert.optim.weight_decay", 0.0, 0.0),
    ("6a", "colbert.optim.scaling", "original", "original"),
    ("7a", "colbert.optim.schedule.shape", "linear", "linear"),
    ("7a", "colbert.optim.schedule.warmup", 0.05, 0.05),
    ("7f", "colbert.data.epochs", 1, 1),
]
HEADS = {"edge17m": [256, 512, 48], "edge32m": [384, 768, 768, 64]}  # 1.6
SCORED, SCORED_ROWS = "lightonai/ms-marco-en-bge-gemma", 640_000  # 1.5
FAMILIES = {  # 1.2 table 1
    "synthetic": 2_650_000, "nomic": 172_800_000, "bge-m3": 1_570_000, "cornstack": 20_000_000,
}
CODE_SHARE = 0.08  # 1.2 table 1
SWEEP = {  # 1.2 table 2
    "pretrain_lr": ("3.5e-4,6.0e-4", 24_576), "pretrain_lr_32m": ("2.8e-4,5.0e-4", 12_288),
}
CLUSTERING, CLASSIFICATION = ("clustering: ",) * 2, ("classification: ",) * 2
SEARCH = ("search_query: ", "search_document: ")
NOMIC = {  # 5a table 7: pairs; 5b: prefixes of query and document
    "reddit_title_body": (64_978_944, CLUSTERING),
    "paq": (52_953_088, SEARCH),
    "amazon_reviews": (38_682_624, CLASSIFICATION),
    "s2orc_title_abstract": (35_438_592, CLUSTERING),
    "wikianswers": (9_912_320, CLASSIFICATION),
    "s2orc_citation_titles": (7_585_792, CLUSTERING),
    "s2orc_abstract_citation": (7_503_872, CLUSTERING),
    "s2orc_abstract_body": (6_389_760, CLUSTERING),
    "wikipedia": (6_078_464, CLASSIFICATION),
    "gooaq": (1_245_184, SEARCH),
    "codesearch": (835_584, CLUSTERING),
    "agnews": (409_600, CLASSIFICATION),
    "ccnews": (344_064, CLASSIFICATION),
    "npr": (344_064, CLASSIFICATION),
    "cnn": (278_528, CLASSIFICATION),
    "yahoo_title_answer": (262_144, SEARCH),
    "amazonqa": (212_992, SEARCH),
    "yahoo_title_question": (196_608, SEARCH),
    "sentence_compression": (163_840, CLASSIFICATION),
    "yahoo_qa": (131_072, SEARCH),
    "eli5": (98_304, SEARCH),
    "altlex": (98_304, CLASSIFICATION),
    "wikihow": (81_920, CLASSIFICATION),
    "simplewiki": (81_920, CLASSIFICATION),
    "stackexchange_duplicate_questions": (65_536, CLUSTERING),
    "stackexchange_title_body": (65_536, CLUSTERING),
    "stackexchange_body_body": (65_536, CLUSTERING),
    "quora": (32_768, CLASSIFICATION),
    "squad": (16_384, SEARCH),
}
TUNED = ["msmarco", "nq", "hotpotqa", "pubmed"]  # 1.3
MINED = {"dense": 0.35, "bm25": 0.35, "random": 0.30}  # 1.3
THRESHOLD, MINER = 0.95, "Qwen/Qwen3-Embedding-8B"  # 1.3
QUERIES = {  # 1.4 table 14
    "msmarco": 510_000, "amazon_qa": 475_000, "nq": 175_000, "triviaqa": 70_000, "pubmed": 67_000,
    "arxiv": 50_000, "cornstack": 50_000, "lotte": 25_000, "medqa": 13_000, "mldr": 12_200,
}
PASSAGES = {  # 1.4 table 15
    "dclm_pro": 1_590_000, "english_words": 742_000, "fineweb": 665_000, "dclm_sent": 400_000,
    "ccnews": 370_000, "stack": 185_000, "ettin_tokens": 50_000,
}
LEAF = {  # 4a
    "fineweb": 3_000_000, "ccnews": 900_000, "amazon_qa": 979_000, "msmarco": 502_000,
    "lotte": 27_000, "vocabulary": 479_000,
}
# fmt: on


@cache
def recipe(exp):
    prepare()
    with initialize_config_dir(str(ROOT), version_base="1.3"):
        return build(container(compose("train", overrides=[f"+exp={exp}"])))


@cache
def paper(exp):
    """What the dry run prints, as {stage: lines}."""
    found, stage = {}, ""
    for line in outline(plan(recipe(exp), unreachable=True)):
        if line and not line.startswith(" "):
            stage = line.split(":")[0]
        found.setdefault(stage, []).append(line.strip())
    return found


def inner(config, name):
    return config[name] if isinstance(config, dict) else getattr(config, name)


def sources(exp):
    return {source.name: source for source in recipe(exp).stages["pretrain"].data.sources}


def test_the_table_sums_as_the_papers_say():
    assert len(NOMIC) == 29 and sum(rows for rows, _ in NOMIC.values()) == 234_553_344
    assert round(sum(FAMILIES.values()) / 1e6) == 197


@pytest.mark.parametrize("exp", EXPS)
@pytest.mark.parametrize("value", VALUES, ids=lambda value: value[1])
def test_a_value_is_the_published_one_and_the_dry_run_prints_it(exp, value):
    _, path, *published = value
    expected = published[EXPS.index(exp)]
    stage, _, inside = path.partition(".")
    found = reduce(inner, inside.split("."), recipe(exp).stages[stage])
    assert found == expected and type(found) is type(expected)
    printed = [line.split()[1] for line in paper(exp)[stage] if line.startswith(f"{inside} ")]
    assert printed == [str(expected)]


@pytest.mark.parametrize("exp", EXPS)
def test_the_stages_stand_in_the_report_s_order(exp):
    stages = ["start", "pretrain", "finetune", "distill", "colbert"]  # 1.1
    assert list(recipe(exp).stages) == stages
    assert [stage for stage in paper(exp) if stage] == stages


@pytest.mark.parametrize("exp", EXPS)
def test_the_losses_and_the_head_are_the_report_s(exp):
    stages = recipe(exp).stages
    assert isinstance(stages["finetune"].loss, Angle)  # 1.3
    assert isinstance(stages["distill"].loss, L2)  # 1.4
    assert not stages["distill"].loss.squared  # 1.4 leaves it open; 4a
    assert stages["finetune"].lengths == {"query": 510, "document": 510}  # 5b: 512 in all
    assert stages["distill"].lengths == {"query": 510, "document": 510}  # 4a: 512 in all
    assert isinstance(stages["distill"].head, TwoLayer)  # 1.4
    layers = [type(part) for part in stages["distill"].head.make(256, 1024).modules()]
    assert layers.count(nn.SiLU) == 1


@pytest.mark.parametrize("exp", EXPS)
def test_fine_tuning_reads_the_four_sets_with_their_negatives(exp):
    found = recipe(exp).stages["finetune"].data.sources
    assert [source.name for source in found] == TUNED
    for source in found:
        assert source.columns.negatives == ["negatives"]
        assert any(line.startswith(f"{source.name} ") for line in paper(exp)["finetune"])


def test_their_negatives_are_mined_as_the_report_says():
    prepare()
    for name in TUNED:
        with initialize_config_dir(str(ROOT), version_base="1.3"):
            words = ["mine=edge", f"data=to_mine/{name}"]
            work = build(container(compose("mine", overrides=words)))
        assert work.mine.shares() == MINED
        assert (work.mine.judge.miner, work.mine.judge.threshold) == ("dense", THRESHOLD)
        assert work.mine.miners["dense"].retriever.model == MINER
        assert [source.name for source in work.data.sources] == [name]


@pytest.mark.parametrize("exp", EXPS)
def test_distillation_reads_the_texts_of_tables_14_and_15(exp):
    found = {source.name: source for source in recipe(exp).stages["distill"].data.sources}
    assert {name: one.limit for name, one in found.items()} == QUERIES | PASSAGES
    assert {name for name, one in found.items() if one.side == "query"} == QUERIES.keys()
    assert found["dclm_sent"].sentences and found["dclm_sent"].path == found["dclm_pro"].path
    assert found["ettin_tokens"].tokens is not None
    for name, rows in (QUERIES | PASSAGES).items():
        (line,) = [line for line in paper(exp)["distill"] if line.startswith(f"{name} ")]
        assert f"the first {rows:,}" in line
    assert round(sum(QUERIES.values()) / 1e6, 2) == 1.45
    assert round(sum(PASSAGES.values()) / 1e6, 2) == 4.00


@pytest.mark.parametrize("exp", EXPS)
def test_the_last_stage_is_the_report_s(exp):
    stage = recipe(exp).stages["colbert"]
    layers = list(stage.head.make(HEADS[exp][0]))
    assert [layers[0].linear.in_features, *(x.linear.out_features for x in layers)] == HEADS[exp]
    assert all(layer.linear.bias is None and layer.gate is None for layer in layers)  # 1.6
    assert {type(layer.activation) for layer in layers} == {nn.Identity}  # 1.6
    assert [layer.has_residual for layer in layers] == [True] * (len(layers) - 1) + [
        False
    ]  # table 9
    assert stage.lengths == {"query": 45, "document": 220}  # 1.6: 48 in all; 1.5
    assert stage.lower is True  # table 10
    assert list(stage.losses) == ["kl"] and isinstance(stage.optim, Muon)  # 1.5


@pytest.mark.parametrize("exp", EXPS)
def test_it_learns_from_scores_that_name_their_texts(exp):
    (source,) = recipe(exp).stages["colbert"].data.sources
    named = source.named_texts()
    assert {source.hub, *(one.hub for one in named.values())} == {SCORED}
    subsets = [source.subset, *(one.subset for one in named.values())]
    assert subsets == ["train", "queries", "documents"] and source.kind == "tuples"
    (line,) = [line for line in paper(exp)["colbert"] if line.startswith(f"{source.name} ")]
    assert f"{SCORED_ROWS:,} rows" in line
    assert "steps: 5,000 of 128 rows" in paper(exp)["colbert"]  # 1.5


def test_leaf_is_as_it_was_published():
    stage = recipe("leaf").stages["distill"]
    assert {one.name: one.limit for one in stage.data.sources if one.limit} == LEAF
    assert (stage.data.epochs, stage.optim.schedule.cycles, stage.fit.batch) == (30, 3, 32)
    assert (stage.optim.lr, stage.optim.schedule.floor) == (1e-4, 0.1)
    assert stage.teacher.model == "Snowflake/snowflake-arctic-embed-m-v1.5"
    assert isinstance(stage.head, Linear) and not stage.loss.squared


@pytest.mark.parametrize(("exp", "last"), [("xsmall", 6), ("mxbai2d", 24)])
def test_models_that_can_be_made_shorter_are_tuned_with_angle_and_espresso(exp, last):
    stage = recipe(exp).stages["finetune"]
    assert isinstance(stage.loss, Angle) and isinstance(stage.shorter, Espresso)
    assert stage.shorter.layers[-1] == last


@pytest.mark.parametrize("exp", EXPS)
@pytest.mark.parametrize("split", NOMIC)
def test_a_split_of_nomic_s_pairs_has_its_rows_and_prefixes(exp, split):
    rows, prefixes = NOMIC[split]
    source = sources(exp)[split]
    assert source.hub == "nomic-ai/nomic-embed-unsupervised-data" and source.split == split
    assert source.rows == rows
    assert (source.prompts["query"], source.prompts["document"]) == prefixes
    (line,) = [line for line in paper(exp)["pretrain"] if line.startswith(f"{split} ")]
    assert f"{rows:,} rows" in line and f'"document": "{prefixes[1]}"' in line


@pytest.mark.parametrize("exp", EXPS)
def test_the_families_are_those_of_table_1(exp):
    data = recipe(exp).stages["pretrain"].data
    assert {name: family.rows for name, family in data.families.items()} == FAMILIES
    names = {name: {one.name for one in family.sources} for name, family in data.families.items()}
    assert names["nomic"] == NOMIC.keys() and names["synthetic"] == set()
    assert len(data.sources) == 29 + 1 + 6
    expected = sum(source.expected for source in data.families["nomic"].sources)
    assert abs(expected / FAMILIES["nomic"] - 1) < 0.001  # what is taken is as much as was
    code = data.families["cornstack"].sources
    assert {source.share for source in code} == {CODE_SHARE}
    assert data.families["bge-m3"].sources[0].expected == FAMILIES["bge-m3"]
    for name, rows in FAMILIES.items():
        assert any(f"family {name}: {rows:,} rows published" in x for x in paper(exp)["pretrain"])
    assert any(line.endswith("of 197,020,000 published") for line in paper(exp)["pretrain"])


@pytest.mark.parametrize("exp", EXPS)
def test_every_hub_source_is_pinned_to_a_commit(exp):
    assert all(re.fullmatch("[0-9a-f]{40}", one.revision) for one in sources(exp).values())


@pytest.mark.parametrize("name", SWEEP)
def test_an_ablation_holds_the_rates_and_the_batch_of_table_2(name):
    exp = "edge32m" if "32m" in name else "edge17m"
    with initialize_config_dir(str(ROOT), version_base="1.3"):
        words = [f"+exp={exp}", f"+ablation={name}"]
        params = compose("train", overrides=words, return_hydra_config=True).hydra.sweeper.params
    rates, batch = SWEEP[name]
    assert params["stages.pretrain.optim.lr"] == rates
    assert params["stages.pretrain.fit.batch"] == str(batch)


# Every value that the table above does not have says where it is from, or why it is ours.

FILES = [
    "exp/edge17m", "exp/edge32m", "stage/start", "stage/pretrain", "optim/adamw",
    "backbone/ettin17m", "backbone/ettin32m", "data/pretrain197m", "data/family/synthetic",
    "data/family/nomic", "data/family/bge-m3", "data/family/cornstack", "loss/infonce",
    "stage/finetune", "loss/angle", "data/finetune", "data/to_mine/msmarco", "data/to_mine/nq",
    "data/to_mine/hotpotqa", "data/to_mine/pubmed", "mine/negatives", "mine/edge",
    "stage/distill", "loss/l2", "student/two_layer", "teacher/stella_1_5b", "data/distill",
    "stage/colbert", "head/edge17m", "head/edge32m", "loss/kl", "optim/muon",
    "data/msmarco_gemma",
    "exp/leaf", "data/leaf", "exp/xsmall", "exp/mxbai2d", "loss/espresso",
]  # fmt: skip
NAMES_A_SOURCE = re.compile(
    r"ours: \S|table \d|section \d|the report's|the dataset's|LEAF's|the model's page"
    r"|arXiv \d|the package's|the released file|PyLate's"
)
STATED = {"rows", "split", "name", "hub", "prompts", "defaults"}  # by the table, or only names
STATED |= {"limit", "side", "columns", "subset"}


def entries(file):
    """(keys above and own, text, comments on it and on what holds it) of each line of a config."""
    above: list[tuple[int, str, str]] = []
    for line in (ROOT / f"{file}.yaml").read_text().splitlines():
        text, _, comment = line.partition("#")
        if not text.strip():
            continue
        indent = len(text) - len(text.lstrip(" -"))
        above = [one for one in above if one[0] < indent]
        key = text.strip(" -").partition(":")[0]
        comments = [one[2] for one in above] + [comment.strip()]
        yield [one[1] for one in above] + [key], text.strip(), comments
        above.append((indent, key, comment.strip()))


def unexplained(file):
    for keys, text, comments in entries(file):
        leaf = not text.endswith((":", "???")) and "_target_" not in text and "<<" not in text
        stated = STATED & set(keys) or keys == ["_self_"] or "&" in text
        if leaf and not stated and not any(map(NAMES_A_SOURCE.search, comments[-2:])):
            yield text


@pytest.mark.parametrize("file", FILES)
def test_every_value_names_its_source_or_says_why_it_is_ours(file):
    assert list(unexplained(file)) == []


def test_the_search_for_unexplained_values_finds_one(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    text = "a: 1  # ours: so\nb:  # table 2\n  c: 2\n  d:\n    e: 3\nf: 4  # because\n"
    (tmp_path / "x.yaml").write_text(text)
    assert list(unexplained("x")) == ["e: 3", "f: 4"]


def choices():
    """Our choices as the rows of a table."""
    rows = ["| config | value | why |", "|---|---|---|"]
    for file in FILES:
        for keys, text, comments in entries(file):
            reason = comments[-1].partition("ours: ")[2]
            if reason:
                shown = text.removeprefix("- ")
                shown = shown if len(shown) < 60 else f"{shown[:56]} …"
                where = ".".join(keys[:-1])
                rows.append(f"| {file} | `{where + ': ' if where else ''}{shown}` | {reason} |")
    return "\n".join(rows)


def test_the_choices_in_the_docs_are_those_of_the_configs():
    assert choices() in DOCS.read_text(encoding="utf-8"), (
        f"docs/recipe.md should hold:\n{choices()}"
    )
