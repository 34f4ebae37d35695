"""A small BEIR folder that a test may break in one place."""

import json

import pytest

CORPUS = [
    {"_id": "d1", "title": "Fox", "text": "a red fox"},
    {"_id": "d2", "title": "", "text": "a blue whale"},
    {"_id": "d3", "text": "a green hill"},
]
QUERIES = [
    {"_id": "q1", "text": "fox"},
    {"_id": "q2", "text": "whale"},
    {"_id": "q9", "text": "nobody judged this"},
]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq2\td2\t1\n"


@pytest.fixture
def beir(tmp_path):
    """A function that writes the folder; parts given replace the sound ones, None leaves out."""

    def write(corpus=CORPUS, queries=QUERIES, qrels=QRELS, name="animals"):
        folder = tmp_path / name
        (folder / "qrels").mkdir(parents=True, exist_ok=True)
        for stem, rows in (("corpus", corpus), ("queries", queries)):
            if rows is not None:
                text = rows if isinstance(rows, str) else "\n".join(map(json.dumps, rows))
                (folder / f"{stem}.jsonl").write_text(text)
        if qrels is not None:
            (folder / "qrels" / "test.tsv").write_text(qrels)
        return folder

    return write
