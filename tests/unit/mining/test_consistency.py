"""The consistency filter, against a search by hand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from animals import Shared, similar, source, world

from trivet.core.artifact import Artifact, Store
from trivet.core.errors import ConfigError, TrivetError
from trivet.core.tables import rows
from trivet.data.columns import Columns
from trivet.data.sources import Source
from trivet.mining import consistency as module
from trivet.mining.consistency import Consistency
from trivet.mining.documents import Documents
from trivet.mining.rows import ROWS, mined


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The world, in shards of 20 rows."""
    monkeypatch.setattr(module, "_SHARD", 20)
    return world(tmp_path / "rows.jsonl")


@pytest.fixture
def sift(small, tmp_path):
    """A function that filters it: the artifact and its rows."""

    def sift(shared=None, place="store", what=None, **given):
        settings = Consistency(retriever=shared or Shared(), **given)
        made = settings.run(what or small, Store(tmp_path / place), tmp_path / "cache")
        return made, [row for _, row in rows(made.path / ROWS)]

    return sift


def by_hand(pairs, k, sample):
    """The pairs that stay, and the place of each document; the later row wins a tie."""
    out = []
    blocks = -(-len(pairs) // sample)
    for number in range(blocks):
        block = pairs[len(pairs) * number // blocks : len(pairs) * (number + 1) // blocks]
        documents = Documents(pair["positive"] for pair in block)
        for pair in block:
            scores = [similar(pair["query"], text) for text in documents.texts]
            best = sorted(range(len(scores)), key=lambda i: (-scores[i], -i))[:k]
            row = documents.row(pair["positive"])
            if row in best:
                out.append((pair, best.index(row) + 1))
    return out


@pytest.mark.parametrize("k, sample", [(1, 1000), (2, 1000), (2, 70), (3, 45), (2, 20)])
def test_a_pair_stays_if_and_only_if_its_document_is_found_in_its_block(sift, small, k, sample):
    pairs = [row for _, row in rows(Path(small.path))]
    expected = by_hand(pairs, k, sample)
    made, found = sift(k=k, sample=sample)
    assert found == [pair for pair, _ in expected]
    assert 0 < len(found) < len(pairs)
    statistics = json.loads((made.path / "statistics.json").read_text())
    assert statistics == made.manifest["statistics"]
    places = [place for _, place in expected]
    assert statistics["places"] == {str(p): places.count(p) for p in range(1, k + 1)}
    dropped = len(pairs) - len(found)
    assert statistics["rows"] == {"read": 190, "written": len(found), "dropped": dropped}
    assert statistics["blocks"] == -(-190 // sample)


def test_a_killed_run_goes_on_and_ends_as_an_unbroken_one(sift, tmp_path):
    unbroken, _ = sift(place="other", sample=70)
    with pytest.raises(KeyboardInterrupt):
        sift(Shared(dies_at=5), sample=70)
    again = Shared()
    made, _ = sift(again, sample=70)
    assert again.searches == 4 + 4 + 4 - 5
    assert made.manifest == unbroken.manifest
    assert [path.name for path in (tmp_path / "store").iterdir()] == [made.path.name]


def test_a_block_that_is_done_is_not_indexed_again(sift, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        sift(Shared(dies_at=5), sample=70)
    sizes = []
    index = Shared.index
    monkeypatch.setattr(Shared, "index", lambda s, c: (sizes.append(len(c)), index(s, c)))
    sift(sample=70)
    assert len(sizes) == 2


def test_it_is_found_again_and_anything_that_matters_makes_another(sift):
    made, _ = sift()
    again = Shared()
    assert sift(again)[0].path == made.path and again.searches == 0
    assert len({sift(k=3)[0].path, sift(sample=70)[0].path, made.path}) == 3


def test_what_is_left_is_a_source_with_its_negatives(sift, tmp_path):
    path = tmp_path / "triples.jsonl"
    triples = [{"q": "fox hen", "d": f"fox {i}", "n": [f"owl {i}", f"hill {i}"]} for i in range(5)]
    path.write_text("\n".join(map(json.dumps, triples)))
    columns = Columns(query="q", positive="d", negatives=["n"])
    made, found = sift(what=Source("triples", columns, path=str(path)))
    assert [row["positive"] for row in found] == ["fox 3", "fox 4"]  # ties: the later wins
    batch = mined(made).open(tmp_path / "cache").read(np.arange(2))
    assert batch.documents == [["fox 3", "owl 3", "hill 3"], ["fox 4", "owl 4", "hill 4"]]


_RANK = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from animals import Shared, source
from trivet.core.artifact import Store
from trivet.mining import consistency as module
module._SHARD = 20
work = Path(sys.argv[2])
settings = module.Consistency(retriever=Shared(), sample=70)
print(settings.run(source(work / "rows.jsonl"), Store(work / "many"), work / "cache").path.name)
"""


def test_several_processes_leave_what_one_leaves(sift, tmp_path, free_port):
    alone, _ = sift(sample=70)
    env = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port)}
    env |= {"WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _RANK, os.path.dirname(__file__), str(tmp_path)]
    both = [
        subprocess.Popen(command, env=env | {"RANK": str(i)}, stdout=-1, stderr=-1, text=True)
        for i in range(2)
    ]
    for process in both:
        out, error = process.communicate(timeout=120)
        assert out == alone.path.name + "\n", error
    assert Artifact.open(tmp_path / "many" / alone.path.name).manifest == alone.manifest


def test_settings_that_filter_nothing_are_refused():
    with pytest.raises(ConfigError, match="k: must be at least 1"):
        Consistency(retriever=Shared(), k=0)
    with pytest.raises(ConfigError, match="among 2 documents all are in the first 2"):
        Consistency(retriever=Shared(), k=2, sample=2)


def test_a_filter_that_leaves_nothing_ends_in_one_line(sift, tmp_path):
    path = tmp_path / "none.jsonl"
    pairs = [{"query": "zebra", "positive": "fox"}, {"query": "lion", "positive": "zebra lion"}]
    pairs[1]["query"] = "fox"
    path.write_text("\n".join(map(json.dumps, pairs)))
    with pytest.raises(TrivetError, match="animals: no row is left. Set a larger k"):
        sift(what=source(path), k=1)
