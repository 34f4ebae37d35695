"""What may be wrong with an evaluation: one line, exit status 2, and nothing half written."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from trivet.core.mapped import is_sound


def refused(done):
    """The one line of a command that failed as it should."""
    status, out, error = done
    assert status == 2 and out == "", (status, out, error)
    assert "Traceback" not in error
    line = error.strip().splitlines()[-1]
    assert line.startswith("trivet: ")
    return line


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--bench", "bier"], "bier is neither a bench nor a folder. Did you mean beir"),
        (["--bench", "ZOO", "--retriever", "desne"], "no retriever desne. Did you mean dense"),
        (["--bench", "beir", "--tasks", "scifat"], "no task scifat. Did you mean scifact"),
        (["--bench", "ZOO", "--split", "tets"], "no split tets. Did you mean test"),
        (["--bench", "ZOO", "--model", "."], "no modules.json: not a sentence-transformers model"),
        (["--bench", "ZOO", "--k", "7"], "ndcg@10 needs 10 documents a query, k is 7"),
        (["--bench", "ZOO", "--ranking", "none.trec"], "none.trec: no such file or folder"),
        (["--bench", "ZOO", "--ranking", "x", "--model", "m"], "no model and no retriever"),
        (["--bench", "ZOO", "bm25"], "trivet eval: bm25 sets nothing. Write key=value"),
        (["--bench", "ZOO", "{", "}"], "{ sets nothing"),
        (["--bench", "ZOO", "k=[1"], "trivet: k=[1 cannot be read. Write key=value"),
        (["--bench", "ZOO", "retriever=bm52"], "no bm52 in retriever. Did you mean bm25"),
        ([], "--bench: a bench is required"),
        (["--repro", "x"], "no row x"),
    ],
)
def test_a_word_that_means_nothing_is_told_with_a_way_out(trivet, zoo, words, match, tmp_path):
    folder = zoo()
    line = refused(trivet("eval", *(folder if word == "ZOO" else word for word in words)))
    assert match in line
    assert list((tmp_path / "work").iterdir()) == []


def test_a_folder_has_one_task_and_its_name_is_told(trivet, zoo):
    assert "no task x. There is: zoo" in refused(trivet("eval", "--bench", zoo(), "--tasks", "x"))
    assert trivet("eval", "--bench", "../zoo", "--tasks", "zoo")[0] == 0


@pytest.mark.parametrize("harm", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_model_that_is_damaged_is_told(trivet, zoo, model, tmp_path, harm):
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in Path(model).rglob("*"):
        if path.is_file():
            (broken / path.relative_to(model)).parent.mkdir(exist_ok=True)
            data = path.read_bytes()
            cut = data[: len(data) // 2] if path.name == harm else data
            (broken / path.relative_to(model)).write_bytes(cut)
    line = refused(trivet("eval", "--bench", zoo(), "--model", broken))
    assert str(broken) in line


def test_documents_without_a_text_are_counted_and_found_by_nobody(trivet, zoo, rows, caplog):
    corpus = [{"_id": "a", "text": "a fox"}, {"_id": "b", "text": "whale"}]
    corpus += [{"_id": "e1", "text": ""}, {"_id": "e2", "title": " ", "text": "\n"}]
    status, _, error = trivet("eval", "--bench", zoo(corpus=corpus))
    assert status == 0 and "2 documents have neither title nor text" in error + caplog.text
    assert rows()[0]["documents"] == 4 and rows()[0]["metrics"]["ndcg@10"] == 1.0


def test_documents_without_a_text_do_not_stop_a_dense_model(trivet, zoo, rows, model):
    corpus = [{"_id": "a", "text": "a fox"}, {"_id": "b", "text": ""}]
    assert trivet("eval", "--bench", zoo(corpus=corpus), "--model", model)[0] == 0
    assert rows()[0]["metrics"]["recall@2"] == 1.0


def test_texts_longer_than_the_models_limit_are_counted_in_the_row(trivet, zoo, rows, model):
    queries = [{"_id": "q1", "text": "fox"}, {"_id": "q2", "text": "a whale " * 300}]
    assert trivet("eval", "--bench", zoo(queries=queries), "--model", model)[0] == 0
    facts = rows()[0]["retriever"]
    assert facts["truncated_query_share"] == 0.5
    assert facts["truncated_document_share"] == 0.25


@pytest.mark.parametrize(
    ("qrels", "match"),
    [
        ("q1\ta\t1\nq2\tz\t1\n", r"test.tsv:3: document z is not in the corpus"),
        ("q7\ta\t1\n", r"test.tsv:2: query q7 is not in queries"),
        ("q1\ta\tyes\n", r"test.tsv:2: score 'yes' is not an integer"),
        ("q1\ta\t0\n", r"no query of test has a relevant document"),
    ],
)
def test_judgements_that_cannot_be_trusted_are_named_by_their_line(trivet, zoo, rows, qrels, match):
    assert re.search(match, refused(trivet("eval", "--bench", zoo(qrels=qrels))))
    assert rows() == []


def test_a_damaged_shard_is_made_again_and_the_numbers_stay(trivet, zoo, rows, model, tmp_path):
    words = ["eval", "--bench", zoo(), "--model", model]
    assert trivet(*words)[0] == 0
    (shard,) = (tmp_path / "cache").rglob("*.safetensors")
    shard.write_bytes(shard.read_bytes()[:-9])
    assert trivet(*words)[0] == 0
    assert is_sound(shard)
    one, two = rows()
    assert one["metrics"] == two["metrics"] and one["retriever"] == two["retriever"]


def test_two_runs_on_one_cache_at_once_leave_two_equal_rows(zoo, rows, model, tmp_path):
    folder = zoo()
    (tmp_path / "work").mkdir()
    command = [sys.executable, "-m", "trivet.cli.main", "eval", "--bench", folder]
    env = os.environ | {"TRIVET_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    both = [
        subprocess.Popen(
            [*command, "--model", model], cwd=tmp_path / "work", env=env, stderr=-1, text=True
        )
        for _ in range(2)
    ]
    for process in both:
        _, error = process.communicate(timeout=120)
        assert process.returncode == 0 and "Traceback" not in error
    one, two = rows()
    assert one["metrics"] == two["metrics"] and one["retriever"] == two["retriever"]
    assert not list((tmp_path / "cache").rglob("*.part"))


@pytest.mark.parametrize("place", ["file/ledger.jsonl", "file/deeper/ledger.jsonl", "folder"])
def test_a_ledger_that_cannot_be_written_is_told_before_any_work(trivet, zoo, place, tmp_path):
    (tmp_path / "work" / "file").write_text("")
    (tmp_path / "work" / "folder").mkdir()
    done = trivet("eval", "--bench", zoo(), "--ledger", place)
    assert f"{place}: the ledger cannot be written" in refused(done)
    assert "counting" not in done[2]
    assert {path.name for path in (tmp_path / "work").rglob("*")} == {"file", "folder"}


def test_a_ranking_of_another_task_is_refused_with_its_line(trivet, zoo, rows):
    Path("run.trec").write_text("q1 Q0 a 1 2.0 t\nq1 Q0 stranger 2 1.0 t\n")
    line = refused(trivet("eval", "--bench", zoo(), "--ranking", "run.trec"))
    assert "run.trec:2: document stranger is not in the task" in line
    assert rows() == []


def test_a_torn_ledger_is_named_by_its_line(trivet, zoo):
    folder = zoo()
    assert trivet("eval", "--bench", folder)[0] == 0
    path = Path("results/ledger.jsonl")
    path.write_text('{"id": "half\n' + path.read_text())
    assert "ledger.jsonl:1: not a ledger row" in refused(trivet("eval", "--repro", "x"))
    json.loads(trivet("eval", "--bench", folder, "--json")[1])
    assert len(path.read_text().splitlines()) == 3
