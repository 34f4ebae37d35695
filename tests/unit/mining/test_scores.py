"""A reranker's scores as tuples to learn from."""

import json
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from trivet.core.artifact import Store
from trivet.core.errors import ConfigError, DataError
from trivet.core.schema import unkeyed
from trivet.core.tables import rows
from trivet.data.columns import Columns
from trivet.data.sources import Source
from trivet.mining import scores as module
from trivet.mining.rows import ROWS, mined
from trivet.mining.scores import Scores


@dataclass
class Lengths:
    """Scores a pair by its texts' lengths."""

    factor: float = 1.0
    kind: str = "lengths"
    broken: bool = unkeyed(False)
    dies_at: int = unkeyed(10**9)
    _asked: list[Any] = field(default_factory=list, init=False, repr=False)

    def score(self, pairs):
        """One number a pair."""
        if len(self._asked) == self.dies_at:
            raise KeyboardInterrupt
        self._asked.append(list(pairs))
        found = [self.factor * (len(document) - len(query)) for query, document in pairs]
        return np.array(found, dtype=np.float32) * (math.nan if self.broken else 1)

    def describe(self):
        """What it is."""
        return {"kind": self.kind, "factor": self.factor}


@pytest.fixture
def triplets(tmp_path, monkeypatch):
    """Ten queries of three documents each, in shards of four."""
    monkeypatch.setattr(module, "_SHARD", 4)
    path = tmp_path / "triplets.jsonl"
    made = [
        {"q": f"query {i}", "p": "x" * (i + 1), "n": ["y" * 5, "z" * (12 - i)]} for i in range(10)
    ]
    path.write_text("\n".join(map(json.dumps, made)))
    columns = Columns(query="q", positive="p", negatives=["n"])
    prompts = {"query": "ask: "}
    return Source("triplets", columns, path=str(path), prompts=prompts, in_domain=True)


def test_each_document_of_each_query_has_its_own_score(triplets, tmp_path):
    made = Scores(reranker=Lengths()).run(triplets, Store(tmp_path / "store"), tmp_path / "cache")
    found = [row for _, row in rows(made.path / ROWS)]
    assert len(found) == 10
    for i, row in enumerate(found):
        assert row["documents"] == ["x" * (i + 1), "y" * 5, "z" * (12 - i)]
        assert row["scores"] == [len(text) - 7 for text in row["documents"]]
    source = mined(made)
    table = source.open(tmp_path / "cache")
    assert (table.kind, len(table), table.prompts) == ("tuples", 10, {"query": "ask: "})
    assert table.in_domain and table.read(np.array([3])).scores == [found[3]["scores"]]


def test_the_statistics_tell_how_far_scores_saturate(triplets, tmp_path):
    made = Scores(reranker=Lengths()).run(triplets, Store(tmp_path / "store"), tmp_path / "cache")
    scores = [row["scores"] for _, row in rows(made.path / ROWS)]
    ends = [1 / (1 + math.exp(-score)) for row in scores for score in row]
    assert made.manifest["statistics"] == {
        "rows": {"read": 10, "written": 10},
        "scores": 30,
        "first_is_best": sum(row[0] > max(row[1:]) for row in scores) / 10,
        "above_0.99": round(sum(end > 0.99 for end in ends) / 30, 4),
        "below_0.01": round(sum(end < 0.01 for end in ends) / 30, 4),
        "flat_rows": 0.0,
    }
    assert made.manifest["teacher"] == {"kind": "lengths", "factor": 1.0}


def test_rows_of_one_score_alone_are_flat_and_have_no_best(triplets, tmp_path):
    settings = Scores(reranker=Lengths(0.0))
    found = settings.run(triplets, Store(tmp_path / "store"), tmp_path / "cache").manifest
    assert found["statistics"]["first_is_best"] == 0.0
    assert found["statistics"]["flat_rows"] == 1.0


def test_sums_of_a_colbert_model_are_no_logits(triplets, tmp_path):
    settings = Scores(reranker=Lengths(kind="colbert"))
    found = settings.run(triplets, Store(tmp_path / "store"), tmp_path / "cache").manifest
    assert found["statistics"].keys() == {"rows", "scores", "first_is_best", "flat_rows"}


def test_a_killed_run_goes_on_and_ends_as_an_unbroken_one(triplets, tmp_path):
    unbroken = Scores(reranker=Lengths()).run(triplets, Store(tmp_path / "a"), tmp_path / "cache")
    store = Store(tmp_path / "b")
    with pytest.raises(KeyboardInterrupt):
        Scores(reranker=Lengths(dies_at=2)).run(triplets, store, tmp_path / "cache")
    again = Lengths()
    made = Scores(reranker=again).run(triplets, store, tmp_path / "cache")
    assert [len(pairs) for pairs in again._asked] == [6]  # the last shard alone
    assert (made.path / ROWS).read_bytes() == (unbroken.path / ROWS).read_bytes()
    assert Scores(reranker=Lengths()).run(triplets, store, tmp_path / "cache").key == made.key
    assert Scores(reranker=Lengths(2.0)).key(triplets) != made.key


def test_what_cannot_be_compared_is_refused(triplets, tmp_path):
    store, cache = Store(tmp_path / "store"), tmp_path / "cache"
    alone = Source("alone", Columns(query="q", positive="p"), path=triplets.path)
    with pytest.raises(ConfigError, match="alone has one document a query. Mine negatives first"):
        Scores(reranker=Lengths()).run(alone, store, cache)
    texts = Source("texts", Columns(text="q"), path=triplets.path)
    with pytest.raises(ConfigError, match="texts holds texts, not pairs"):
        Scores(reranker=Lengths()).run(texts, store, cache)
    with pytest.raises(DataError, match="triplets row 0: a score is not a number"):
        Scores(reranker=Lengths(broken=True)).run(triplets, store, cache)
