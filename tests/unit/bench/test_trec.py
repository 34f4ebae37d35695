import gzip

import numpy as np
import pytest

from trivet.bench.trec import read_ranking, write_ranking
from trivet.core.errors import DataError
from trivet.core.records import Ranking

QUERIES, DOCUMENTS = ["q1", "q 2", "q3"], ["a", "Ann Lee", "c"]


def some_ranking():
    rows = np.array([[1, 0], [2, -1], [-1, -1]])
    scores = np.array([[1 / 3, 1e-30], [-16777217.0, 0.0], [0.0, 0.0]], dtype=np.float32)
    return Ranking(QUERIES, DOCUMENTS, rows, scores)


def test_what_is_read_back_has_every_bit_that_was_written(tmp_path):
    path, ranking = tmp_path / "rankings" / "x.trec.gz", some_ranking()
    write_ranking(path, ranking, "tag")
    again = read_ranking(path, QUERIES, DOCUMENTS)
    assert again.queries == QUERIES
    assert again.rows.tolist() == ranking.rows.tolist()
    assert again.scores.tobytes() == ranking.scores.tobytes()
    assert [item.name for item in path.parent.iterdir()] == ["x.trec.gz"]


def test_the_lines_are_trecs(tmp_path):
    write_ranking(tmp_path / "x.gz", some_ranking(), "tag")
    lines = gzip.decompress((tmp_path / "x.gz").read_bytes()).decode().splitlines()
    assert lines[0].split("\t") == ["q1", "Q0", "Ann Lee", "1", "0.333333343", "tag"]
    assert len(lines) == 3


def test_the_same_ranking_gives_the_same_bytes(tmp_path):
    for name in ("x", "y"):
        write_ranking(tmp_path / name, some_ranking(), "tag")
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


@pytest.mark.parametrize(
    "line, match",
    [
        ("q1\tQ0\ta\t1\t2.0\n", "x.trec:1: 5 columns"),
        ("q7\tQ0\ta\t1\t2.0\tt\n", "query q7 is not in the task"),
        ("q1\tQ0\tz\t1\t2.0\tt\n", "document z is not in the task"),
        ("q1\tQ0\ta\t2\t2.0\tt\n", "rank 2 where 1 is next"),
    ],
)
def test_a_run_of_another_task_or_with_a_gap_is_refused(tmp_path, line, match):
    (tmp_path / "x.trec").write_text(line)
    with pytest.raises(DataError, match=match):
        read_ranking(tmp_path / "x.trec", QUERIES, DOCUMENTS)
