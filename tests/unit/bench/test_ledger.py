import copy
import errno
import json
import signal
import subprocess
import sys
import time

import pytest

from trivet.bench.evaluate import evaluate
from trivet.bench.folder import Folder
from trivet.bench.ledger import FIELDS, RETRIEVER, Ledger, _unfinished, check, make_row
from trivet.bench.trec import read_run
from trivet.core.errors import ConfigError, DataError
from trivet.retrieval.bm25 import Bm25

METRICS = ["ndcg@10", "map"]
ROW = {
    **{
        "id": "0",
        "time": "2025-01-01T00:00:00Z",
        "trivet": "0",
        "label": "l",
        "bench": "b",
        "task": "t",
    },
    **{"split": "test", "data": "f", "documents": 1, "queries": 1, "k": 10, "drop_self": False},
    "retriever": {
        **{"kind": "dense", "model": "m", "model_key": "k", "precision": "fp32", "prompts": {}},
        **{"lengths": {"query": 8}, "in_domain": [], "trained_on": None},
    },
    **{"seed": None, "in_domain": False, "metrics": {"map": 0.5}, "seconds": {"index": 0.1}},
    **{"libraries": {}, "git": None, "hardware": {}, "command": "c"},
    **{"per_query": "per_query/0.json", "ranking": "rankings/0.trec.gz"},
}
APPEND = """
import sys, json
from pathlib import Path
from trivet.bench.ledger import Ledger
path, name, count, row = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
print("ready", flush=True)
for i in range(count):
    Ledger(Path(path)).append({**row, "id": f"{name}-{i}", "command": "x" * 3000})
"""


def writer(path, name, count):
    command = [sys.executable, "-c", APPEND, str(path), name, str(count), json.dumps(ROW)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def measured(beir, **fields):
    task = Folder(str(beir()), **fields).load()
    return evaluate(task, Bm25(), k=10, metrics=METRICS)


def test_a_row_holds_its_pedigree_and_its_files_lie_beside_the_ledger(beir, tmp_path):
    result = measured(beir, drop_self=True)
    ledger = Ledger(tmp_path / "results" / "ledger.jsonl")
    row = ledger.add(result, bench="zoo", command="trivet eval --bench zoo")
    assert list(ledger.read()) == [row]
    assert row.keys() == FIELDS.keys()
    assert (row["bench"], row["task"], row["label"]) == ("zoo", "animals", "bm25")
    assert (row["data"], row["drop_self"]) == (result.task.fingerprint, True)
    assert row["metrics"] == result.metrics
    assert row["retriever"]["kind"] == "bm25"
    assert {"torch", "numpy", "python"} <= row["libraries"].keys()
    assert {"cpu", "cores", "gpus", "memory_gib", "threads"} <= row["hardware"].keys()
    folder = ledger.path.parent
    scores = json.loads((folder / row["per_query"]).read_text())
    assert scores == {
        "queries": ["q1", "q2"],
        "relevant": {"q1": ["d1"], "q2": ["d2"]},  # d2 is judged 0 for q1
        **{name: values.tolist() for name, values in result.per_query.items()},
    }
    run = read_run(folder / row["ranking"], ["q1", "q2"], result.task.corpus.ids)
    ranking = run.ranking
    assert [ranking.of(i) for i in range(2)] == [result.ranking.of(i) for i in range(2)]


def test_two_evaluations_of_one_kind_have_two_ids(beir):
    result = measured(beir)
    rows = [make_row(result, bench="b", command="c") for _ in range(2)]
    assert rows[0]["id"] != rows[1]["id"]


def test_a_label_names_the_row_instead_of_the_model(beir, tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.add(measured(beir), bench="b", command="c", label="the start")
    assert [row["label"] for row in ledger.read()] == ["the start"]


def test_a_row_may_name_its_sweep_and_need_not(beir, tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    sweep = {"name": "heads", "level": {"head": "ffn"}, "baseline": {"head": "linear"}}
    ledger.add(measured(beir), bench="b", command="c")
    ledger.add(measured(beir), bench="b", command="c", sweep=sweep)
    assert [row.get("sweep") for row in ledger.read()] == [None, sweep]


@pytest.mark.parametrize("wrong", ["heads", {"name": "heads"}, {"name": 1, "level": {}}])
def test_a_sweep_that_does_not_say_its_level_is_refused(beir, wrong):
    row = make_row(measured(beir), bench="b", command="c", sweep=wrong)
    with pytest.raises(DataError, match="sweep"):
        check(row)


def test_the_row_of_a_model_trained_on_the_task_is_marked(beir):
    result = measured(beir)
    result.retriever.update({"in_domain": ["animals"], "train_seed": 7})
    row = make_row(result, bench="b", command="c")
    check(row)
    assert (row["in_domain"], row["seed"]) == (True, 7)
    result.retriever["in_domain"] = ["plants"]
    assert make_row(result, bench="b", command="c")["in_domain"] is False


@pytest.mark.parametrize("name", FIELDS)
def test_a_row_without_a_field_is_refused(name):
    row = {key: value for key, value in ROW.items() if key != name}
    with pytest.raises(DataError, match=f"no field {name}"):
        check(row)


@pytest.mark.parametrize("name", RETRIEVER)
def test_a_row_that_does_not_say_how_was_retrieved_is_refused(name):
    row = copy.deepcopy(ROW)
    del row["retriever"][name]
    with pytest.raises(DataError, match=f"retriever: no field {name}"):
        check(row)


@pytest.mark.parametrize(
    "change, match",
    [
        ({"metrics": {"map": float("nan")}}, "metrics, map: nan is not a number"),
        ({"metrics": {"map": None}}, "metric map is None"),
        ({"metrics": {"map": True}}, "metric map is True"),
        ({"seconds": {"index": float("inf")}}, "seconds, index: inf"),
        ({"hardware": {"gpus": [{"memory": float("nan")}]}}, "gpus, memory: nan"),
        ({"k": True}, "field k holds bool"),
        ({"seed": "1"}, "field seed holds str"),
        ({"note": "x"}, "unknown field note"),
    ],
)
def test_a_row_that_is_not_whole_leaves_the_ledger_as_it_was(tmp_path, change, match):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append(ROW)
    before = ledger.path.read_bytes()
    with pytest.raises(DataError, match=match):
        ledger.append({**ROW, **change})
    assert ledger.path.read_bytes() == before


def test_a_metric_that_is_no_number_writes_nothing(beir, tmp_path):
    result = measured(beir)
    result.metrics["map"] = float("nan")
    with pytest.raises(DataError, match="map: nan"):
        Ledger(tmp_path / "results" / "ledger.jsonl").add(result, bench="b", command="c")
    assert not (tmp_path / "results").exists()


def test_what_was_written_is_never_changed(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    before = b""
    for i in range(3):
        ledger.append({**ROW, "id": str(i)})
        after = ledger.path.read_bytes()
        assert after.startswith(before)
        assert after.count(b"\n") == i + 1
        before = after


def test_no_ledger_is_an_empty_one(tmp_path):
    assert list(Ledger(tmp_path / "ledger.jsonl").read()) == []


def test_two_processes_write_two_hundred_rows_each_at_once(tmp_path):
    path = tmp_path / "ledger.jsonl"
    writers = [writer(path, name, 200) for name in ("a", "b")]
    assert [process.wait() for process in writers] == [0, 0]
    ids = [row["id"] for row in Ledger(path).read()]
    for name in ("a", "b"):
        assert [i for i in ids if i.startswith(name)] == [f"{name}-{i}" for i in range(200)]
    assert len(ids) == 400


def test_a_writer_killed_at_any_moment_leaves_whole_rows_and_no_lock(tmp_path):
    path = tmp_path / "ledger.jsonl"
    for turn in range(3):
        process = writer(path, f"w{turn}", 100_000)
        goal = (path.stat().st_size if path.exists() else 0) + 10_000 * (turn + 1)
        while not path.exists() or path.stat().st_size < goal:
            assert process.poll() is None
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        Ledger(path).append({**ROW, "id": f"after{turn}"})
    ids = [row["id"] for row in Ledger(path).read()]
    assert [i for i in ids if i.startswith("after")] == ["after0", "after1", "after2"]
    assert ids[0] == "w0-0"


@pytest.mark.parametrize("cut", [1, 100, -2])
@pytest.mark.parametrize("block", [1, 7, 65536])
def test_a_row_whose_writer_was_killed_is_left_out_and_its_place_taken(
    tmp_path, cut, block, monkeypatch, caplog
):
    monkeypatch.setattr(_unfinished, "__defaults__", (block,))
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append(ROW)
    line = ledger.path.read_bytes()
    ledger.path.write_bytes(line + line[:cut])
    assert [row["id"] for row in ledger.read()] == ["0"]
    assert "ledger.jsonl:2: a row whose writer was stopped is left out" in caplog.text
    ledger.append({**ROW, "id": "next"})
    assert "a row whose writer was stopped is dropped" in caplog.text
    assert ledger.path.read_bytes().startswith(line)
    assert [row["id"] for row in ledger.read()] == ["0", "next"]


def test_a_first_row_whose_writer_was_killed_is_no_row(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.path.write_bytes(b'{"id": "0", "ti')
    assert list(ledger.read()) == []
    ledger.append(ROW)
    assert list(ledger.read()) == [ROW]


def test_a_torn_line_among_the_rows_is_named(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append(ROW)
    whole = ledger.path.read_text()
    ledger.path.write_text(whole + whole[:100] + "\n" + whole)
    rows = ledger.read()
    assert next(rows) == ROW
    with pytest.raises(DataError, match="ledger.jsonl:2: not a ledger row.*delete the line"):
        next(rows)


def test_a_line_that_lacks_only_its_end_is_a_row(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append(ROW)
    ledger.path.write_bytes(ledger.path.read_bytes()[:-1])
    ledger.append({**ROW, "id": "next"})
    assert [row["id"] for row in ledger.read()] == ["0", "next"]


@pytest.mark.parametrize("line", ["[]", "3", "null", '"x"', "{}"])
def test_a_line_that_is_no_row_is_named(tmp_path, line):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.path.write_text(line + "\n")
    with pytest.raises(DataError, match="ledger.jsonl:1: not a ledger row"):
        list(ledger.read())


@pytest.mark.parametrize("kind", ["under a file", "a folder"])
def test_a_ledger_that_cannot_be_written_is_refused_before_any_work(tmp_path, kind):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    path = tmp_path / "file" / "l.jsonl" if kind == "under a file" else tmp_path / "folder"
    with pytest.raises(ConfigError, match="cannot be written"):
        Ledger(path).check_place()
    assert sorted(item.name for item in tmp_path.rglob("*")) == ["file", "folder"]


def test_a_place_that_is_not_there_yet_may_be_written_and_is_not_made(tmp_path):
    Ledger(tmp_path / "a" / "b" / "l.jsonl").check_place()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_and_leaves_no_row(beir, tmp_path, monkeypatch):
    def full(path, ranking, tag):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("trivet.bench.ledger.write_ranking", full)
    ledger = Ledger(tmp_path / "r" / "ledger.jsonl")
    with pytest.raises(DataError, match=r"ledger.jsonl: a row cannot be written \(No space"):
        ledger.add(measured(beir), bench="b", command="c")
    assert list(ledger.read()) == []
