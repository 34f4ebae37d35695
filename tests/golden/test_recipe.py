"""The published recipe against the configs: every number below was typed from the papers by hand.

Sections are those of the facts they were typed from: 1.0 and 1.2 are mxbai-edge-colbert-v0 (arXiv
2510.14880, table 1 and table 2), 5a is table 7 of nomic-embed-text (arXiv 2402.01613), 5b is the
ModernBERT run of contrastors, the report's framework, which fills what the report leaves open.
"""

from __future__ import annotations

import re
from functools import cache, reduce

import pytest
from hydra import compose, initialize_config_dir

from trivet.cli.compose import container, prepare
from trivet.core.places import config_folder
from trivet.core.schema import build
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
]
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
    found = reduce(getattr, inside.split("."), recipe(exp).stages[stage])
    assert found == expected and type(found) is type(expected)
    printed = [line.split()[1] for line in paper(exp)[stage] if line.startswith(f"{inside} ")]
    assert printed == [str(expected)]


@pytest.mark.parametrize("exp", EXPS)
def test_the_stages_stand_in_the_report_s_order(exp):
    assert list(recipe(exp).stages)[:2] == ["start", "pretrain"]  # 1.1
    assert [stage for stage in paper(exp) if stage][:2] == ["start", "pretrain"]


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
    "exp/edge17m", "exp/edge32m", "stage/start", "stage/pretrain",
    "loss/infonce", "optim/adamw",
    "backbone/ettin17m", "backbone/ettin32m", "data/pretrain197m", "data/family/synthetic",
    "data/family/nomic", "data/family/bge-m3", "data/family/cornstack",
]  # fmt: skip
NAMES_A_SOURCE = re.compile(r"ours: \S|table \d|section \d|the report's|the dataset's")
STATED = {"rows", "split", "name", "hub", "prompts", "defaults"}  # by the table, or only names


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
