"""Whole runs on two ranks: what they leave behind, and how they end when something breaks."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from trivet.core.artifact import Artifact
from trivet.training import checkpoint

ARCHITECTURE = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


def config(folder, steps=6, shard=False):
    rows = [{"q": f"word{i} is", "d": f"a text of word{i}"} for i in range(64)]
    data = folder / "pairs.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    bench = folder / "bench"
    (bench / "qrels").mkdir(parents=True, exist_ok=True)
    texts = [{"_id": f"d{i}", "text": f"a text of word{i}"} for i in range(20)]
    (bench / "corpus.jsonl").write_text("\n".join(map(json.dumps, texts)))
    texts = [{"_id": f"q{i}", "text": f"word{i} is"} for i in range(5)]
    (bench / "queries.jsonl").write_text("\n".join(map(json.dumps, texts)))
    lines = ["query-id\tcorpus-id\tscore", *(f"q{i}\td{i}\t1" for i in range(5))]
    (bench / "qrels/dev.tsv").write_text("\n".join(lines))
    task = {"_target_": "trivet.bench.folder.Folder", "path": str(bench), "split": "dev"}
    return {
        "_target_": "trivet.stages.plan.Train",
        "name": "ranks",
        "out": str(folder / "out"),
        "cache": str(folder / "cache"),
        "machine": {"device": "cpu", "shard": shard},
        "stages": {
            "start": {
                "_target_": "trivet.stages.start.Start",
                "backbone": {"_target_": "trivet.models.backbone.Fresh", "architecture": ARCHITECTURE},
            },
            "pretrain": {
                "_target_": "trivet.stages.pretrain.Pretrain",
                "data": {
                    "sources": [
                        {
                            "name": "pairs",
                            "path": str(data),
                            "columns": {"query": "q", "positive": "d"},
                        }
                    ],
                    "epochs": 1000,
                },
                "optim": {
                    "_target_": "trivet.optim.adamw.AdamW",
                    "lr": 1e-3,
                    "schedule": {"shape": "constant"},
                },
                "dev": {"bench": {"name": "dev", "tasks": [task]}, "every": 3},
                "fit": {"batch": 8, "precision": "fp32", "steps": steps, "save_every": 2, "log_every": 1, "cached": shard},
            },
        },
    }  # fmt: skip


def started(folder, processes, **options):
    path = folder / "config.json"
    path.write_text(json.dumps(config(folder, **options)))
    return begun(path, processes)


def begun(path, processes):
    environment = {**os.environ, "MASTER_PORT": str(20000 + os.getpid() % 20000)}
    command = [sys.executable, "-m", "trivet.cli.worker", str(path), "--processes", str(processes)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finished(folder, processes, **options):
    process = started(folder, processes, **options)
    text = process.communicate(timeout=300)[0]
    assert process.returncode == 0, text
    return Artifact.open(next((folder / "out/artifacts").glob("pretrain-*")))


def metrics(folder):
    path = next((folder / "out/runs").glob("*/pretrain/metrics.jsonl"))
    return [json.loads(line) for line in path.read_text().splitlines()]


def until(condition, process):
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    return finished(folder, 1), metrics(folder)


@pytest.mark.parametrize("shard", [False, True])
def test_two_ranks_train_what_one_does_and_write_it_once(one, shard, tmp_path):
    artifact = finished(tmp_path, 2, shard=shard)
    assert artifact.key == one[0].key
    assert [line["step"] for line in metrics(tmp_path)] == [1, 2, 3, 3, 4, 5, 6, 6]  # and dev's
    for mine, others in zip(metrics(tmp_path), one[1], strict=True):
        assert mine.keys() == others.keys()
        assert mine == pytest.approx(others, abs=1e-4)
    run = next((tmp_path / "out/runs").iterdir())
    assert json.loads((run / "manifest.json").read_text())["state"] == "finished"


@pytest.mark.parametrize("victim", [0, 1])
def test_a_rank_that_is_killed_ends_the_run_and_the_next_run_goes_on(victim, tmp_path):
    process = started(tmp_path, 2, steps=100000)
    until(lambda: list(tmp_path.glob("out/runs/*/pretrain/step-*/state.json")), process)
    text = subprocess.run(
        ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True
    )
    os.kill(sorted(map(int, text.stdout.split()))[victim], signal.SIGKILL)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 128 + signal.SIGKILL, output
    assert "Traceback" not in output
    folder = next(tmp_path.glob("out/runs/*/pretrain"))
    found = checkpoint.newest(folder)
    assert found is not None and found.step >= 2
    process = started(tmp_path, 2, steps=100000)
    until(lambda: len(metrics(tmp_path)) > found.step + 2, process)
    process.terminate()
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 128 + signal.SIGTERM, output
    assert f"restored from {found.path}" in output
    steps = [line["step"] for line in metrics(tmp_path) if "loss" in line]
    assert steps == list(range(1, len(steps) + 1))
    last = checkpoint.newest(folder)
    assert last is not None and last.step == steps[-1]


def test_a_run_split_over_ranks_is_finished_by_one_that_holds_all(one, tmp_path):
    """What is saved is whole: a checkpoint does not say how many ranks wrote it."""
    process = started(tmp_path, 2, shard=True)
    until(lambda: list(tmp_path.glob("out/runs/*/pretrain/step-*/state.json")), process)
    process.terminate()
    output = process.communicate(timeout=120)[0]
    artifact = finished(tmp_path, 1)
    assert process.returncode in (0, 128 + signal.SIGTERM), output
    assert artifact.key == one[0].key
    for mine, others in zip(metrics(tmp_path), one[1], strict=True):
        assert mine == pytest.approx(others, abs=1e-4)


def test_what_is_wrong_with_a_config_is_said_once(tmp_path):
    process = started(tmp_path, 2, steps=0)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 2
    assert output.count("must be at least 1") == 1 and "Traceback" not in output


def dictionary(folder, processes, buffer):
    """A stage `sae` on texts of one to nine tokens."""
    folder.mkdir()
    rows = [{"text": " ".join(["word", "and", str(i * 37)][: i % 3 + 1] * (i % 2 + 1))}
            for i in range(64)]  # fmt: skip
    (folder / "texts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    whole = config(folder)
    trained = whole["stages"].pop("pretrain")
    source = {"name": "texts", "path": str(folder / "texts.jsonl"), "columns": {"text": "text"}}
    whole["stages"]["sae"] = {
        "_target_": "trivet.stages.sae.Sae",
        "data": {"sources": [source], "epochs": 4},
        "optim": trained["optim"],
        "fit": {"batch": 8, "precision": "fp32", "steps": 6},
        "latents": 32,
        "k": 2,
        "buffer": buffer,
    }
    (folder / "config.json").write_text(json.dumps(whole))
    process = begun(folder / "config.json", processes)
    text = process.communicate(timeout=300)[0]
    assert process.returncode == 0, text
    return Artifact.open(next((folder / "out/artifacts").glob("sae-*")))


@pytest.mark.parametrize("buffer", [1, 4])
def test_a_dictionary_of_two_ranks_is_that_of_one(tmp_path, buffer):
    """Though one has more tokens than the other."""
    one, two = (dictionary(tmp_path / str(n), n, buffer) for n in (1, 2))
    assert one.key == two.key
    mine, other = (load_file(made.path / "sae/model.safetensors") for made in (one, two))
    for name, weight in mine.items():
        torch.testing.assert_close(other[name], weight, rtol=0, atol=1e-4)  # 3e-3 if unweighted
    facts, others = one.manifest["sae"], two.manifest["sae"]
    assert facts["tokens"] == others["tokens"]
    assert others["fvu"] == pytest.approx(facts["fvu"], abs=1e-4)
