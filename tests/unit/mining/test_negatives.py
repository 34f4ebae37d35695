"""Mining a small world, against the world itself."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from animals import Shared, negatives, similar, source, world

from trivet.core.artifact import Artifact, Store
from trivet.core.errors import ConfigError, TrivetError
from trivet.core.schema import build
from trivet.core.tables import rows
from trivet.data.columns import Columns
from trivet.data.sources import Source
from trivet.mining import negatives as module
from trivet.mining.documents import containment, name_of
from trivet.mining.negatives import Judge, Miner
from trivet.mining.rows import ROWS, data_lines, mined
from trivet.retrieval.bm25 import Bm25
from trivet.retrieval.dense import DenseRetriever


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The world, in shards of 40 rows."""
    monkeypatch.setattr(module, "_SHARD", 40)
    return world(tmp_path / "rows.jsonl")


@pytest.fixture
def mine(small, tmp_path):
    """A function that mines it: the artifact and its rows."""

    def mine(settings, place="store", what=None):
        made = settings.run(what or small, Store(tmp_path / place), tmp_path / "cache")
        return made, [row for _, row in rows(made.path / ROWS)]

    return mine


def pairs(small):
    return [row for _, row in rows(Path(small.path))]


@pytest.mark.parametrize("judged", [True, False])
def test_no_known_positive_nor_a_near_duplicate_of_one_is_ever_mined(mine, small, judged):
    settings = negatives() if judged else negatives(judge=None)
    answers = {}
    for row in pairs(small):
        answers.setdefault(name_of(row["query"]), []).append(row["positive"])
    _, found = mine(settings)
    assert len(found) == 190
    for row in found:
        for negative in row["negatives"]:
            for answer in answers[name_of(row["query"])]:
                assert name_of(negative) != name_of(answer)
                assert containment(negative, answer, 2) < 0.5


def test_every_negative_is_below_the_threshold_and_every_score_is_the_judges(mine):
    _, found = mine(negatives())
    for row in found:
        want = [similar(row["query"], text) for text in (row["positive"], *row["negatives"])]
        assert row["scores"] == pytest.approx(want, abs=1e-6)
        assert all(score < 0.5 * want[0] for score in want[1:])


def test_without_a_judge_some_are_above_it(mine):
    made, found = mine(negatives(judge=None))
    assert "scores" not in found[0] and made.manifest["statistics"]["scores"] == {}
    score = {i: similar(row["query"], row["positive"]) for i, row in enumerate(found)}
    above = [
        similar(r["query"], n) >= 0.5 * score[i]
        for i, r in enumerate(found)
        for n in r["negatives"]
    ]
    assert any(above)


def test_rows_keep_their_order_their_texts_and_their_number(mine, small):
    _, found = mine(negatives())
    assert [(row["query"], row["positive"]) for row in found] == [
        (row["query"], row["positive"]) for row in pairs(small)
    ]
    for row in found:
        assert len(row["negatives"]) == len(set(row["negatives"])) == len(row["miners"]) == 5


def test_the_shares_are_met_where_candidates_suffice(mine):
    made, found = mine(negatives(judge=None, depth=60))
    counts = Counter(miner for row in found for miner in row["miners"])
    statistics = made.manifest["statistics"]
    assert statistics["negatives"] == counts and statistics["filled"] == 0
    total = sum(counts.values())
    for name, share in {"shared": 0.35, "bm25": 0.35, "random": 0.30}.items():
        assert counts[name] / total == pytest.approx(share, abs=0.01)


def test_with_no_pool_the_best_allowed_are_taken_in_order(mine, small):
    only = {"miners": {"shared": Miner(Shared(), 1.0)}, "random": 0.0, "depth": 500}
    _, found = mine(negatives(pool=0, number=3, **only))
    corpus = {name_of(row["positive"]): row["positive"] for row in reversed(pairs(small))}
    answers = {}
    for row in pairs(small):
        answers.setdefault(name_of(row["query"]), set()).add(row["positive"])
    for row in found[:60]:
        query, top = row["query"], similar(row["query"], row["positive"])
        known = answers[name_of(query)]
        free = [
            similar(query, text)
            for name, text in corpus.items()
            if similar(query, text) < 0.5 * top
            and not any(name == name_of(a) or containment(text, a, 2) >= 0.5 for a in known)
        ]
        got = [similar(query, text) for text in row["negatives"]]
        assert got == sorted(free, reverse=True)[:3]


def test_statistics_add_up(mine):
    made, found = mine(negatives(short="drop", number=20))
    statistics = json.loads((made.path / "statistics.json").read_text())
    assert statistics == made.manifest["statistics"]
    assert statistics["rows"] == {
        "read": 190,
        "written": len(found),
        "dropped": 190 - len(found),
        "short": 190 - len(found),
    }
    assert 0 < len(found) < 190
    assert sum(statistics["negatives"].values()) == 20 * len(found)
    scores = statistics["scores"]
    assert sum(scores["positive"]) == 190 and sum(scores["kept"]) == 20 * len(found)
    reasons = sum(sum(found.values()) for found in statistics["dropped"].values())
    assert sum(scores["dropped"]) == reasons > 0
    assert len(scores["edges"]) == len(scores["kept"]) + 1


def test_short_rows_are_filled_at_random_and_counted(mine):
    made, found = mine(negatives(short="random", number=20))
    statistics = made.manifest["statistics"]
    assert len(found) == 190 and statistics["rows"]["short"] > 0 and statistics["filled"] > 0
    assert statistics["shares"]["random"] > 0.31


def test_it_is_found_again_and_anything_that_matters_makes_another(mine):
    first = Shared()
    made, _ = mine(negatives(first))
    assert first.searches == 5
    again = Shared()
    assert mine(negatives(again))[0].path == made.path and again.searches == 0
    for change in ({"seed": 1}, {"number": 4}, {"judge": None}, {"pool": 9}):
        assert mine(negatives(**change))[0].path != made.path


def test_the_order_of_the_miners_counts_since_the_first_has_what_both_find(mine):
    miners = negatives().miners
    other = dict(reversed(miners.items()))
    assert mine(negatives(miners=other))[0].path != mine(negatives())[0].path


def test_a_model_is_named_by_its_weights_not_by_its_place(small, tmp_path):
    places = [tmp_path / "here", tmp_path / "there", tmp_path / "changed"]
    for place, weights in zip(places, ("w", "w", "v"), strict=True):
        place.mkdir()
        (place / "model.safetensors").write_text(weights)
    keys = []
    for place in places:
        dense = Miner(DenseRetriever(str(place)), 0.7)
        keys.append(negatives(miners={"dense": dense}, judge=Judge("dense")).key(small))
    assert keys[0] == keys[1] != keys[2]


def test_a_killed_run_goes_on_and_ends_as_an_unbroken_one(mine, tmp_path):
    unbroken, _ = mine(negatives(), "other")
    with pytest.raises(KeyboardInterrupt):
        mine(negatives(Shared(dies_at=3)))
    assert len(list((tmp_path / "store").glob(".*.shards/0*"))) == 3
    again = Shared()
    made, _ = mine(negatives(again))
    assert again.searches == 2
    assert made.manifest == unbroken.manifest
    assert [path.name for path in (tmp_path / "store").iterdir()] == [made.path.name]


def test_the_negatives_of_a_row_do_not_depend_on_the_shards(mine, monkeypatch):
    _, found = mine(negatives())
    monkeypatch.setattr(module, "_SHARD", 7)
    assert mine(negatives(), "other")[1] == found


_RANK = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from animals import negatives, source
from trivet.core.artifact import Store
from trivet.mining import negatives as module
module._SHARD = 40
work = Path(sys.argv[2])
made = negatives().run(source(work / "rows.jsonl"), Store(work / sys.argv[3]), work / "cache")
print(made.path.name)
"""


@pytest.mark.parametrize("world_size", [2, 3])
def test_several_processes_make_what_one_makes(mine, tmp_path, free_port, world_size):
    alone, _ = mine(negatives())
    env = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port)}
    env |= {"WORLD_SIZE": str(world_size), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _RANK, os.path.dirname(__file__), str(tmp_path), "many"]
    processes = [
        subprocess.Popen(command, env=env | {"RANK": str(i)}, stdout=-1, stderr=-1, text=True)
        for i in range(world_size)
    ]
    for process in processes:
        out, error = process.communicate(timeout=120)
        assert out == alone.path.name + "\n", error
    many = Artifact.open(tmp_path / "many" / alone.path.name)
    assert many.manifest == alone.manifest


def test_the_artifact_is_a_source_that_trains(mine, tmp_path, small):
    small.in_domain, small.prompts = True, {"query": "ask: "}
    made, found = mine(negatives())
    again = mined(made)
    assert (again.name, again.in_domain, again.prompts) == ("animals", True, {"query": "ask: "})
    batch = again.open(tmp_path / "cache").read(np.arange(3))
    assert batch.documents == [[row["positive"], *row["negatives"]] for row in found[:3]]
    assert build(yaml.safe_load(data_lines([again]))).sources == [mined(made)]


def test_other_documents_can_be_searched_too(mine, tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(json.dumps({"text": f"zebra{i} lion{i}"}) for i in range(500)))
    texts = Source("texts", Columns(text="text"), path=str(path))
    given = {"miners": {}, "judge": None, "random": 1.0, "documents": texts}
    _, found = mine(negatives(**given))
    share = sum("zebra" in text for row in found for text in row["negatives"]) / (190 * 5)
    assert share == pytest.approx(500 / 670, abs=0.05)


def test_a_row_that_cannot_be_filled_ends_in_one_line_when_there_is_no_other(mine, tmp_path):
    path = tmp_path / "few.jsonl"
    path.write_text('{"query": "a", "positive": "one two"}\n{"query": "b", "positive": "three"}')
    with pytest.raises(TrivetError, match=r"animals: no row is left. Lower number"):
        mine(negatives(judge=None), what=source(path))


@pytest.mark.parametrize(
    "given, message",
    [
        ({"random": 0.5}, "shares must add up to 1"),
        ({"judge": Judge("bm25")}, "judge.miner: bm25 cannot score any pair"),
        ({"judge": Judge("share")}, "no miner share. Did you mean shared"),
        ({"judge": Judge("shared", 0.0)}, "judge.threshold"),
        ({"number": 0}, "number: must be at least 1"),
        ({"duplicate": 0.0}, "duplicate"),
        ({"miners": {"random": Miner(Bm25(), 0.7)}}, "random is no retriever"),
        ({"miners": {"a": Miner(Bm25(), 0.7), "b": Miner(Bm25(), 0.0)}, "judge": None}, "miners.b"),
        ({"documents": Source("x", Columns(query="q", positive="p"), path="x")}, "must map a text"),
    ],
)
def test_settings_that_cannot_be_are_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        negatives(**given)


def test_a_source_of_texts_has_nothing_to_mine_for(mine, tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": "a"}')
    with pytest.raises(ConfigError, match="holds texts, not pairs"):
        mine(negatives(), what=Source("texts", Columns(text="text"), path=str(path)))
