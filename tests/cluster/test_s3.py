"""Artifacts and rows on a real S3 server: two machines that share no disk, and many writers."""

from __future__ import annotations

import json
import subprocess
import sys

from world import ON_CPU

from trivet.bench.ledger import Ledger
from trivet.core.remote import Remote

WRITER = """
import sys
from pathlib import Path
from trivet.core.remote import Remote
folder, url, first = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for number in range(first, first + 25):
    row = {"id": f"{number:04d}", "time": "t", "per_query": "s.json", "ranking": "s.json"}
    Remote(url).add_row(row, folder)
"""


def bucket(name):
    import s3fs

    s3fs.S3FileSystem().mkdir(name)
    return f"s3://{name}/store"


def test_what_one_machine_made_another_fetches_and_no_row_is_lost(s3, world):
    url = bucket("trivet-share")
    words = ["machine=local", f"machine.remote={url}", *ON_CPU, "seed=1,2"]
    world.run("here", *world.words(*words))
    assert len(world.rows("here")) == 2
    world.run("there", *world.words(*words))  # another folder is another machine
    logs = [*(world.root / "there/outputs/sweeps").glob("*/*/log.txt")]
    text = "".join(path.read_text() for path in logs)
    assert "begins" not in text and text.count("fetched from s3://") == 4
    both = list(Remote(url).rows())
    assert len(both) == 4  # each machine measured its own
    ledger = Ledger(world.root / "merged" / "ledger.jsonl")
    assert ledger.collect(Remote(url)) == 4 and ledger.collect(Remote(url)) == 0
    assert list(ledger.read()) == both
    assert all((ledger.path.parent / row["per_query"]).is_file() for row in both)
    said = world.run("again", "sweep", "collect", url, "--ledger", "ledger.jsonl")
    assert "4 row(s) added" in said


def test_rows_of_many_writers_at_once_are_all_there_and_whole(s3, tmp_path):
    url = bucket("trivet-rows")
    (tmp_path / "s.json").write_text(json.dumps({"scores": [1.0] * 1000}))
    command = [sys.executable, "-c", WRITER, str(tmp_path), url]
    writers = [subprocess.Popen([*command, str(25 * number)]) for number in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    assert [row["id"] for row in Remote(url).rows()] == [f"{i:04d}" for i in range(100)]
