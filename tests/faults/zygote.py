"""Imports everything once, then forks a real training process for each line on standard input.

Its one argument is the folder of all runs.

A line is JSON: {"folder": …, "pause_at": null or a byte count}. The child trains four steps of the
real pipeline. With `pause_at` it stops dead, inside a write, once so many bytes of state have been
written, and touches `paused` in its folder: whoever reads that kills it. Prints the child's pid,
and, when it has ended, its exit status.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from trivet.core import files
from trivet.core.errors import TrivetError
from trivet.core.schema import build
from trivet.stages.pipeline import run
from trivet.stages.plan import plan
from trivet.stages.pretrain import Pretrain
from trivet.training import checkpoint

ROWS = 64


def config(folder: Path) -> dict:
    """Two layers too small to be good, on pairs of made-up words, with dropout."""
    return {
        "_target_": "trivet.stages.plan.Train",
        "name": "faults",
        "out": str(folder / "out"),
        "cache": str(folder.parent / "cache"),
        "machine": {"device": "cpu", "threads": 1},
        "stages": {
            "start": {
                "_target_": "trivet.stages.start.Start",
                "backbone": {
                    "_target_": "trivet.models.backbone.Fresh",
                    "architecture": {
                        "model_type": "bert",
                        "vocab_size": 30522,
                        "hidden_size": 16,
                        "intermediate_size": 32,
                        "num_hidden_layers": 1,
                        "num_attention_heads": 2,
                    },
                },
            },
            "pretrain": {
                "_target_": f"{Pretrain.__module__}.{Pretrain.__name__}",
                "data": {
                    "sources": [
                        {
                            "name": "pairs",
                            "path": str(folder.parent / "pairs.jsonl"),
                            "columns": {"query": "query", "positive": "positive"},
                        }
                    ]
                },
                "optim": {"_target_": "trivet.optim.adamw.AdamW", "lr": 1e-3},
                "fit": {
                    "batch": 8,
                    "precision": "fp32",
                    "steps": 4,
                    "accumulate": 2,
                    "log_every": 3,
                    "save_every": 1,
                    "keep": 2,
                },
            },
        },
    }


def write_pairs(path: Path) -> None:
    """Pairs of words that no two rows share, of different lengths."""
    rows = [
        {"query": f"what is {i * 37}?", "positive": f"{i * 37} is " + "a number " * (i % 9 + 1)}
        for i in range(ROWS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def slow_writes(folder: Path, pause_at: int, modules: Iterable[Any]) -> None:
    """Make the process stop inside the write that passes the given byte, whichever module's."""
    written = 0
    whole = files.write_pieces

    def write_pieces(path: Path, pieces) -> None:
        nonlocal written
        data = b"".join(pieces)
        if written + len(data) > pause_at:
            with path.open("wb") as stream:
                stream.write(data[: pause_at - written])
                stream.flush()
                (folder / "paused").touch()
                time.sleep(600)
        written += len(data)
        whole(path, [data])

    for module in modules:
        module.write_pieces = write_pieces


def child(folder: Path, pause_at: int | None) -> int:
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    if pause_at is not None:
        slow_writes(folder, pause_at, (files, checkpoint))
    train = build(config(folder))
    try:
        run(train, plan(train), {})
    except TrivetError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def serve(child: Callable[[Path, int | None], int]) -> None:
    """Fork a child for each order."""
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            status = 70
            try:
                status = child(Path(order["folder"]), order.get("pause_at"))
            finally:
                sys.stderr.flush()
                os._exit(status)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    write_pairs(Path(sys.argv[1]) / "pairs.jsonl")
    serve(child)
