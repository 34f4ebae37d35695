"""A teacher of a few lines, so that every vector can be told by hand."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from trivet.core.errors import ConfigError, DataError
from trivet.core.machine import Machine
from trivet.data.columns import Columns
from trivet.data.sources import Source
from trivet.mining import vectors
from trivet.mining.vectors import teach
from trivet.retrieval.vectors import Shard

MACHINE = Machine("cpu")
ROWS = 11


def vector(side, text):
    draw = torch.Generator().manual_seed(zlib.crc32(f"{side} {text}".encode()))
    return torch.randn(6, generator=draw)


@dataclass
class Fake:
    dim: int | None = None
    normalize: bool = True
    scale: float = 1.0

    def __post_init__(self):
        self.made, self.dies_at = [], None

    def in_domain(self):
        return []

    def encode(self, texts, side, parts, machine):
        for rows in parts:
            if rows[0] == self.dies_at:
                os.kill(os.getpid(), signal.SIGKILL)
            MADE.append(rows[0])
            found = torch.stack([vector(side, texts[row]) for row in rows])
            yield Shard(torch.tensor(rows), found * self.scale, len(rows))


MADE: list[int] = []


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(vectors, "_SHARD", 4)
    MADE.clear()


def table(folder, kind="pairs", **options):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "rows.jsonl"
    rows = [{"q": f"q{i}", "p": f"p{i}", "n": [f"n{i}", f"m{i}"]} for i in range(ROWS)]
    path.write_text("\n".join(map(json.dumps, rows)))
    columns = {
        "pairs": Columns(query="q", positive="p"),
        "wide": Columns(query="q", positive="p", negatives=["n"]),
        "texts": Columns(text="p"),
    }[kind]
    return Source(kind, columns, path=str(path), **options).open(folder / "arrow")


def unit(side, text):
    return vector(side, text) / vector(side, text).norm()


def close(found, wanted):
    torch.testing.assert_close(found, torch.stack(wanted), atol=2e-3, rtol=0)


def test_a_batch_has_the_vectors_of_its_queries_and_of_all_its_documents(tmp_path):
    rows = table(tmp_path, "wide")
    batch = rows.read(np.array([9, 2, 5]))
    found = teach(Fake(), rows, tmp_path / "v", MACHINE).of(batch)
    wanted = [unit("query", f"q{i}") for i in (9, 2, 5)]
    wanted += [unit("document", f"{name}{i}") for i in (9, 2, 5) for name in "pnm"]
    close(found, wanted)
    assert found.dtype == torch.float32


def test_plain_texts_have_one_side(tmp_path):
    for side in ("query", "document"):
        rows = table(tmp_path, "texts", side=side)
        taught = teach(Fake(), rows, tmp_path / "v", MACHINE)
        close(taught.of(rows.read(np.array([10, 0]))), [unit(side, "p10"), unit(side, "p0")])
        assert taught.truncated() == {side: ROWS}


def test_rows_that_were_left_out_leave_the_others_their_vectors(tmp_path):
    rows = table(tmp_path)
    taught = teach(Fake(), rows, tmp_path / "v", MACHINE)
    some = rows.keep(np.array([3, 7, 8]))
    close(taught.of(some.read(np.array([2]))), [unit("query", "q8"), unit("document", "p8")])
    with pytest.raises(ValueError, match="whole source"):
        teach(Fake(), some, tmp_path / "v", MACHINE)


def test_shorter_vectors_are_unit_vectors_again_and_cost_no_encoding(tmp_path):
    rows = table(tmp_path, "texts")
    batch = rows.read(np.arange(ROWS))
    whole = teach(Fake(), rows, tmp_path / "v", MACHINE).of(batch)
    MADE.clear()
    short = teach(Fake(dim=3), rows, tmp_path / "v", MACHINE)
    assert MADE == [] and short.dim == 3
    torch.testing.assert_close(
        short.of(batch), torch.nn.functional.normalize(whole[:, :3], dim=-1), atol=1e-6, rtol=0
    )
    with pytest.raises(ConfigError, match="the teacher has 6 dimensions"):
        teach(Fake(dim=7), rows, tmp_path / "v", MACHINE)


def test_vectors_stay_as_they_are_where_no_unit_vectors_are_wanted(tmp_path):
    rows = table(tmp_path, "texts")
    teacher = Fake(normalize=False, scale=3.0)
    found = teach(teacher, rows, tmp_path / "v", MACHINE).of(rows.read(np.array([1])))
    torch.testing.assert_close(found[0], 3 * vector("document", "p1"), atol=5e-3, rtol=1e-3)
    with pytest.raises(DataError, match="do not fit 16 bits"):
        teach(dataclasses.replace(teacher, scale=1e6), rows, tmp_path / "v", MACHINE)


def test_vectors_are_made_once_for_a_teacher_a_side_and_the_texts(tmp_path):
    rows = table(tmp_path)
    teach(Fake(), rows, tmp_path / "v", MACHINE)
    assert MADE == [0, 4, 8] * 2
    teach(Fake(), rows, tmp_path / "v", MACHINE)
    assert MADE == [0, 4, 8] * 2
    teach(Fake(scale=2.0), rows, tmp_path / "v", MACHINE)
    teach(Fake(), table(tmp_path, "texts"), tmp_path / "v", MACHINE)
    assert MADE == [0, 4, 8] * 5


def test_they_are_kept_in_16_bits_and_a_damaged_shard_is_made_again(tmp_path, caplog):
    rows = table(tmp_path, "texts")
    batch = rows.read(np.arange(ROWS))
    whole = teach(Fake(), rows, tmp_path / "v", MACHINE).of(batch)
    (path,) = (tmp_path / "v").rglob("000001.*.safetensors")
    assert 4 * 6 * 2 < path.stat().st_size < 4 * 6 * 2 + 400
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    MADE.clear()
    assert torch.equal(teach(Fake(), rows, tmp_path / "v", MACHINE).of(batch), whole)
    assert MADE == [4] and "damaged" in caplog.text


_CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_vectors as t
t.vectors._SHARD = 4
folder, dies_at = Path(sys.argv[2]), int(sys.argv[3])
teacher = t.Fake()
teacher.dies_at = dies_at if dies_at >= 0 else None
rows = t.table(folder / sys.argv[4], "texts")
found = t.teach(teacher, rows, folder / "v", t.MACHINE).of(rows.read(t.np.arange(t.ROWS)))
t.close(found, [t.unit("document", f"p{i}") for i in range(t.ROWS)])
print(*t.MADE)
"""


def child(folder, name, dies_at=-1, **env):
    command = [sys.executable, "-c", _CHILD, str(Path(__file__).parent), str(folder)]
    return subprocess.Popen(
        [*command, str(dies_at), name],
        env=os.environ | {"OMP_NUM_THREADS": "1"} | env,
        stdout=-1,
        stderr=-1,
        text=True,
    )


def made(process):
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    return [int(number) for number in out.split()]


def shards(folder):
    return {path.name: path.read_bytes() for path in (folder / "v").rglob("*.safetensors")}


def test_a_run_that_was_killed_goes_on_and_ends_like_one_that_was_not(tmp_path):
    killed = child(tmp_path, "a", dies_at=8)
    killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert len(shards(tmp_path)) == 2
    assert made(child(tmp_path, "b")) == [8]
    unbroken = tmp_path / "unbroken"
    teach(Fake(), table(unbroken, "texts"), unbroken / "v", MACHINE)
    assert shards(tmp_path) == shards(unbroken)


def test_ranks_share_the_shards_and_another_run_waits_and_finds_them(tmp_path, free_port):
    env = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port), "WORLD_SIZE": "2"}
    run = [child(tmp_path, f"r{rank}", RANK=str(rank), **env) for rank in range(2)]
    other = child(tmp_path, "other")
    shares = [made(process) for process in (*run, other)]
    assert shares in ([[0, 8], [4], []], [[], [], [0, 4, 8]])
