"""Tasks from the hub, by the real loaders, in every layout that is in use there."""

import json

import pytest

from trivet.bench.hub import Hub
from trivet.core.errors import ConfigError

_TASK = """
import dataclasses, json, sys
from trivet.bench.hub import Hub
from trivet.core.errors import TrivetError
try:
    source = Hub(**json.loads(sys.argv[1]))
    task = source.load()
    print(json.dumps([task.corpus.contents(), task.queries, task.qrels, source.fingerprint()]))
except TrivetError as error:
    print("refused:", error)
"""
TEXTS = {"d1": "a red fox", "d2": "a blue whale"}
ASKED = {"q1": "fox", "q2": "whale"}
ANSWERS = {"q1": "d1", "q2": "d2"}


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def card(*configs):
    """A dataset card that names configurations, their splits and files."""
    out = ["---", "configs:"]
    for config, files in configs:
        out += [f"- config_name: {config}", "  data_files:"]
        for split, path in files:
            out += [f"  - split: {split}", f"    path: {path}"]
    return "\n".join([*out, "---", ""]).encode()


def parts(identifier="_id", query="_id", judged=("query-id", "corpus-id"), **extra):
    corpus = [{identifier: name, "text": text, **extra} for name, text in TEXTS.items()]
    queries = [{query: name, "text": text, **extra} for name, text in ASKED.items()]
    qrels = [{judged[0]: one, judged[1]: other, **extra} for one, other in ANSWERS.items()]
    return corpus, queries, qrels


def beir(qrels_config, splits):
    corpus, queries, qrels = parts()
    files = [("corpus", splits[0]), ("queries", splits[1]), (qrels_config, splits[2])]
    return {
        "README.md": card(*[(c, [(split, f"{c}.jsonl")]) for c, split in files]),
        "corpus.jsonl": lines(*corpus),
        "queries.jsonl": lines(*queries),
        f"{qrels_config}.jsonl": lines(*[{**row, "score": 1.0} for row in qrels]),
    }


def longembed():
    near = parts("doc_id", "qid", ("qid", "doc_id"), context_length=256)
    far = ([{"doc_id": "d9", "text": "far", "context_length": 512}], [], [])
    names = ("corpus", "queries", "qrels")
    found = {
        f"needle/{name}.jsonl": lines(*one, *other)
        for name, one, other in zip(names, near, far, strict=True)
    }
    others = ({"doc_id": "x", "text": "another", "context_length": 256},)
    return found | {"passkey/corpus.jsonl": lines(*others), "README.md": b"# long\n"}


LAYOUTS = {
    "beir": (beir("default", ("corpus", "queries", "test")), {}),
    "nano": (beir("qrels", ("train",) * 3), {"layout": "nano", "split": "train"}),
    "longembed": (longembed(), {"layout": "longembed", "subset": "needle", "context": 256}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_task_is_the_same_from_every_layout_and_offline_again(hub, url, ask, layout):
    files, fields = LAYOUTS[layout]
    commit = hub.add("dataset", "some/bench", files)
    fields = {"name": "animals", "dataset": "some/bench", "revision": commit, **fields}
    qrels = {query: {document: 1} for query, document in ANSWERS.items()}
    expected = [list(TEXTS.values()), ASKED, qrels, ["some/bench", commit]]
    assert json.loads(ask(_TASK, url, **fields)) == expected
    assert json.loads(ask(_TASK, url, offline=True, **fields)) == expected


@pytest.mark.parametrize("offline", [False, True])
def test_a_task_that_cannot_be_had_says_what_from_where_and_how_else(url, ask, offline):
    fields = {"name": "animals", "dataset": "some/gone", "revision": "main"}
    said = ask(_TASK, url, offline=offline, **fields)
    assert said.startswith("refused: animals: dataset some/gone (revision main): ")
    assert "copy in BEIR layout into DIR/animals, and say --data DIR" in said


def test_what_may_not_be_passed_on_needs_a_local_copy(url, ask):
    assert "robust04: not public" in ask(_TASK, url, name="robust04")


def test_a_local_copy_is_read_instead_and_gives_the_same_task(hub, url, ask, tmp_path):
    commit = hub.add("dataset", "some/bench", LAYOUTS["beir"][0])
    fields = {"name": "animals", "dataset": "some/bench", "revision": commit}
    folder = tmp_path / "animals"
    (folder / "qrels").mkdir(parents=True)
    corpus, queries, qrels = parts()
    (folder / "corpus.jsonl").write_bytes(lines(*corpus))
    (folder / "queries.jsonl").write_bytes(lines(*queries))
    (folder / "qrels" / "test.jsonl").write_bytes(lines(*[{**row, "score": 1} for row in qrels]))
    here = Hub(**fields, path=str(folder)).load()
    there = json.loads(ask(_TASK, url, **fields))
    assert [here.corpus.contents(), here.queries, here.qrels] == there[:3]


def test_only_longembed_has_subsets_to_choose():
    with pytest.raises(ConfigError, match="layout longembed"):
        Hub("a", "some/bench", subset="needle")
