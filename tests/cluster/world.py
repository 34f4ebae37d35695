"""A recipe too small to be good, a bench of a dozen documents, and `trivet` as a user types it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from trivet.bench.ledger import Ledger
from trivet.core.places import config_folder
from trivet.sweep.record import Record, Sweep

ITS_OWN = ("id", "time", "seconds", "hardware", "per_query", "ranking")  # of a run, not of a result
RECIPE = """\
# @package _global_
defaults:
  - /stage@stages.start: start
  - /stage@stages.pretrain: pretrain
  - /stage@stages.colbert: colbert
  - /loss@stages.colbert.losses.contrast.loss: infonce
  - override /backbone@stages.start.backbone: bert_tiny
  - override /data@stages.pretrain.data: grain
  - override /data@stages.colbert.data: grain
  - override /head@stages.colbert.head: linear
name: grain
stages:
  pretrain:
    fit: {batch: 8, precision: fp32, cached: false, steps: 60, save_every: 5, log_every: 5}
  colbert:
    ways: null
    losses: {kl: null, contrast: {loss: {temperature: 1.0}}}
    head: {dim: 8}
    lengths: {query: 16, document: 16}
    fit: {batch: 8, precision: fp32, steps: 240, save_every: 5, log_every: 5}
"""
DATA = """\
_target_: trivet.data.mixture.Mixture
epochs: 8
sources:
  - _target_: trivet.data.sources.Source
    name: grain
    path: PAIRS
    columns: {query: query, positive: positive}
"""
GRID = ["stages.colbert.optim.lr=1e-3,2e-3,3e-3,4e-3", "seed=1,2,3"]
ON_CPU = ["machine.device=cpu", "machine.threads=1"]
SLURM = ["machine=slurm", "machine.launch.options.gpus_per_node=null", *ON_CPU,
         "machine.launch.options.cpus_per_task=1", "machine.launch.max_parallel=2",
         "machine.launch.options.signal_delay_s=30"]  # fmt: skip


class World:
    """A folder with configs, data and a bench; sweeps run in folders of their own inside it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        rows = [{"query": f"what is {i * 37}?", "positive": f"{i * 37} is " + "one " * (i % 9 + 1)}
                for i in range(96)]  # fmt: skip
        (root / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        for group, text in (
            ("exp", RECIPE),
            ("data", DATA.replace("PAIRS", f"{root}/pairs.jsonl")),
        ):
            (root / "configs" / group).mkdir(parents=True)
            (root / "configs" / group / "grain.yaml").write_text(text)
        (root / "bench" / "qrels").mkdir(parents=True)
        texts = {f"d{i}": f"{i * 37} is a number" for i in range(12)}
        corpus = [{"_id": name, "text": text} for name, text in texts.items()]
        queries = [{"_id": f"q{i}", "text": f"what is {i * 37}?"} for i in range(6)]
        (root / "bench/corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)))
        (root / "bench/queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
        judged = "".join(f"q{i}\td{i}\t1\n" for i in range(6))
        (root / "bench/qrels/test.tsv").write_text("query\tcorpus\tscore\n" + judged)

    def words(self, *more: str) -> list[str]:
        measure = f"measure='--bench {self.root}/bench --ledger ledger.jsonl --no-cache'"
        folder = ["--config-dir", str(self.root / "configs")]
        return ["train", "-m", "+exp=grain", measure, f"cache={self.root}/cache", *folder, *more]

    def start(self, folder: str, *words: str) -> subprocess.Popen:
        """`trivet WORDS` in a folder of its own."""
        place = self.root / folder
        place.mkdir(exist_ok=True)
        source = str(config_folder().parent / "src")
        path = os.pathsep.join([source, os.environ.get("PYTHONPATH", "")])
        env = os.environ | {"PYTHONPATH": path, "TRIVET_CACHE": f"{self.root}/cache",
                            "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}  # fmt: skip
        command = [sys.executable, "-m", "trivet.cli.main", *words]
        return subprocess.Popen(command, cwd=place, env=env, text=True, stderr=subprocess.STDOUT,
                                stdout=subprocess.PIPE)  # fmt: skip

    def run(self, folder: str, *words: str, status: int = 0) -> str:
        """The same, to its end, which must have that exit status."""
        process = self.start(folder, *words)
        out = process.communicate(timeout=1500)[0]
        assert process.returncode == status, out
        return out

    def sweep(self, folder: str) -> Sweep:
        """The only one of a folder."""
        (path,) = (self.root / folder).glob("outputs/sweeps/*/sweep.json")
        return Sweep.open(path.parent)

    def begun(self, folder: str) -> Sweep | None:
        """The same, if it is there yet."""
        return (
            self.sweep(folder)
            if list(self.root.glob(f"{folder}/outputs/sweeps/*/sweep.json"))
            else None
        )

    def rows(self, folder: str) -> list[dict]:
        """Its ledger, less what is of the run alone, in an order of its own; no row twice."""
        rows = list(Ledger(self.root / folder / "ledger.jsonl").read())
        kept = [{k: v for k, v in row.items() if k not in ITS_OWN} for row in rows]
        kept.sort(key=lambda row: json.dumps(row["sweep"], sort_keys=True))
        for row in kept:  # how it is told where to run
            row["command"] = re.sub(r" \+\+machine\.\S+", "", row["command"])
        names = [json.dumps(row["sweep"], sort_keys=True) for row in kept]
        assert len(set(names)) == len(names)
        return kept


def processes(record: Record) -> list[int]:
    """The processes that work on a run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if str(record.config).encode() in words:
            found.append(int(path.parent.name))
    return found


def at_work(sweep: Sweep, stage: str) -> list[Record]:
    """Runs that have a checkpoint of a stage and are not done with it."""
    out = []
    for record in sweep.records():
        where = record.folder / "where.json"
        if record.status().state == "running" and where.is_file():
            run = Path(json.loads(where.read_text())["run"])
            if list((run / stage).glob("step-*")) and processes(record):
                out.append(record)
    return out


def alive(sweep: Sweep) -> list[Record]:
    """Runs that have a process, whatever it does."""
    return [one for one in sweep.records() if one.status().state == "running" and processes(one)]


def wait_for(found, seconds: float = 300.0):
    """What a function finds, as soon as it finds anything."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if value := found():
            return value
        time.sleep(0.02)
    raise AssertionError("nothing came")


def kill(record: Record) -> None:
    """As the system does when memory is gone."""
    for pid in processes(record):
        os.kill(pid, signal.SIGKILL)
