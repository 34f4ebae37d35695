"""The report of 1,000 runs: seconds and memory to build it, its size, seconds to open it.

python tests/speed/report.py [--runs 1000] [--keep DIR]. Chromium opens the pages where it is there.
The size is asserted, here and in the tests; the rest is printed, for it depends on the machine.
"""

import argparse
import hashlib
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SEEDS, QUERIES, STEPS = 5, 200, 60
TASKS = ("birds", "fish", "plants")
MOST = 3_000_000  # bytes


def digest(*words):
    return hashlib.sha256("/".join(map(str, words)).encode()).hexdigest()


def synthetic(folder, runs):
    """A ledger, manifests and run folders as sweeps of ten levels by five seeds leave them."""
    results, outputs = folder / "results", folder / "outputs"
    for place in (results / "per_query", results / "manifests"):
        place.mkdir(parents=True)
    rows = []
    queries = [f"q{i}" for i in range(QUERIES)]
    ease = {
        task: np.random.default_rng(i).uniform(0.2, 0.8, QUERIES) for i, task in enumerate(TASKS)
    }
    for run in range(runs):
        level, seed = divmod(run, SEEDS)
        sweep, place = divmod(level, 10)
        name, rate = f"sweep-{sweep:02d}", f"{(place + 1) * 1e-4:.0e}"
        key = digest("model", run)
        model = f"outputs/artifacts/pretrain-{key[:16]}"
        random = np.random.default_rng(run)
        settings = {"stages.pretrain.optim.lr": rate}
        told = {
            "name": name,
            "id": f"{name}-{digest(name)[:6]}",
            "level": settings,
            "overrides": [f"stages.pretrain.optim.lr={rate}", f"seed={seed}"],
            "baseline": {"stages.pretrain.optim.lr": "1e-04"},
        }
        manifest = {
            "key": key,
            "stage": "pretrain",
            "seed": seed,
            "trained_on": ["scitldr"],
            "origins": {},
            "config": {
                "_target_": "trivet.stages.pretrain.Pretrain",
                "seed": seed,
                "optim": {"lr": float(rate)},
                "fit": {"batch": 64 + sweep, "steps": STEPS},
            },
            "ancestors": [
                {
                    "stage": "start",
                    "key": digest("start"),
                    "config": {"pooling": "mean"},
                    "trained_on": [],
                    "origins": {},
                }
            ],
        }
        (results / "manifests" / f"{key[:16]}.json").write_text(json.dumps(manifest))
        where = outputs / "runs" / f"tiny-{key[:10]}"
        (where / "pretrain").mkdir(parents=True)
        (where / "config.json").write_text(
            json.dumps({"name": "tiny", "seed": seed, "sweep": told})
        )
        (where / "manifest.json").write_text(json.dumps({"state": "finished", "stages": []}))
        with (where / "pretrain" / "metrics.jsonl").open("w") as stream:
            for step in range(1, STEPS + 1):
                loss = 4 / (1 + 0.1 * step * (place + 1)) + random.normal(0, 0.02)
                stream.write(json.dumps({"step": step, "loss": loss, "lr": float(rate)}) + "\n")
        for task in TASKS:
            scores = np.clip(ease[task] + 0.01 * place + random.normal(0, 0.05, QUERIES), 0, 1)
            row = digest(task, run)[:16]
            (results / "per_query" / f"{row}.json").write_text(
                json.dumps(
                    {
                        "queries": queries,
                        "relevant": {q: [f"of {q}"] for q in queries},
                        "ndcg@10": scores.tolist(),
                    }
                )
            )
            rows.append(
                {
                    "id": row,
                    "time": "2026-01-01T00:00:00Z",
                    "trivet": "0.1.0",
                    "bench": "zoo",
                    "label": f"{name}, lr {rate}",
                    "task": task,
                    "split": "test",
                    "data": digest(task),
                    "documents": 5000,
                    "queries": QUERIES,
                    "k": 100,
                    "drop_self": False,
                    "seed": seed,
                    "in_domain": False,
                    "metrics": {"ndcg@10": float(scores.mean())},
                    "sweep": told,
                    "seconds": {"index": 1.0, "search": 0.1 + 0.01 * place},
                    "git": None,
                    "libraries": {"torch": "2.11.0", "python": "3.11.7"},
                    "hardware": {
                        "cpu": "a CPU",
                        "cores": 2,
                        "threads": 1,
                        "gpus": [],
                        "memory_gib": 23.5,
                    },
                    "command": f"trivet eval --bench zoo --model {model}",
                    "per_query": f"per_query/{row}.json",
                    "ranking": f"rankings/{row}.trec.gz",
                    "retriever": {
                        "kind": "dense",
                        "model": model,
                        "model_key": key,
                        "precision": "fp32",
                        "prompts": {"query": "", "document": ""},
                        "lengths": {"query": 62, "document": 126},
                        "in_domain": [],
                        "dim": 128,
                        "trained_on": ["scitldr"],
                        "bytes_per_vector": 64 * (place + 1),
                        "parameters": 4_000_000 + 100_000 * place,
                    },
                }
            )
    (results / "ledger.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return results / "ledger.jsonl", outputs


def size(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def opened(folder):
    """Seconds until each of the largest pages has loaded in Chromium, or nothing without one."""
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        return {}
    pages = sorted(folder.glob("*.html"), key=lambda path: -path.stat().st_size)[:3]
    found = {}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        for path in [folder / "index.html", *pages]:
            page = browser.new_page()
            begin = time.monotonic()
            page.goto(path.as_uri(), wait_until="load")
            page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
            found[path.name] = time.monotonic() - begin
            page.close()
        browser.close()
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--rounds", default="10000", help="of the random draws")
    parser.add_argument("--keep", help="where the site stays; else nothing is kept")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as room:
        ledger, outputs = synthetic(Path(room), flags.runs)
        out = Path(flags.keep or Path(room) / "site")
        command = [sys.executable, "-m", "trivet.cli.main", "report", "--site", str(out)]
        command += ["--ledger", str(ledger), "--runs", str(outputs)]
        command += ["--rounds", flags.rounds]
        begin = time.monotonic()
        subprocess.run(command, check=True)
        seconds = time.monotonic() - begin
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(
            f"{flags.runs} runs, {flags.runs * len(TASKS)} rows: built in {seconds:.1f} s "
            f"({used.ru_utime + used.ru_stime:.1f} s of CPU), "
            f"{used.ru_maxrss / 2**20:.2f} GiB at the peak, {size(out) / 1e6:.2f} MB"
        )
        for name, taken in opened(out).items():
            print(f"{name}: {(out / name).stat().st_size / 1e3:.0f} kB, opened in {taken:.2f} s")
        assert size(out) < MOST, f"{size(out):,} bytes"


if __name__ == "__main__":
    main()
