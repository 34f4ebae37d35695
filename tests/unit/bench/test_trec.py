import gzip

import numpy as np
import pytest

from trivet.bench.trec import read_run, write_ranking
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
    run = read_run(path, QUERIES, DOCUMENTS)
    again = run.ranking
    assert (run.tag, run.missing, run.unknown, run.reordered) == ("tag", 1, 0, 0)
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
        ("q1\tQ0\ta\t1\t2.0\n", "x.trec:2: 5 columns"),
        ("q1 Q0 Ann Lee 1 2.0 t\n", "x.trec:2: 7 columns"),
        ("q1\tQ0\tz\t1\t2.0\tt\n", "x.trec:2: document z is not in the task"),
        ("q1\tQ0\tc\t2\t1.0\tt\n", "x.trec:2: document c stands twice for query q1"),
        ("q1 Q0 a first 2.0 t\n", "x.trec:2: rank 'first'"),
        ("q1 Q0 a 1 high t\n", "x.trec:2: .* score 'high' is no number"),
        ("q1 Q0 a 1 nan t\n", "x.trec:2: score nan is not finite"),
        ("q1 Q0 a 1 1e39 t\n", "x.trec:2: score 1e39 is not finite"),
    ],
)
def test_a_line_that_cannot_be_trusted_is_named(tmp_path, line, match):
    (tmp_path / "x.trec").write_text("q1 Q0 c 1 3.0 t\n" + line)
    with pytest.raises(DataError, match=match):
        read_run(tmp_path / "x.trec", QUERIES, DOCUMENTS)


def test_queries_of_others_are_left_out_and_counted_whatever_their_documents(tmp_path):
    text = "q7 Q0 zzz 1 2.0 t\nq7 Q0 zzz 1 2.0 t\nq1 Q0 a 1 2.0 t\nq8 Q0 a 1 2.0 u\n"
    (tmp_path / "x.trec").write_text(text)
    run = read_run(tmp_path / "x.trec", QUERIES, DOCUMENTS)
    assert [run.ranking.of(i) for i in range(3)] == [[("a", 2.0)], [], []]
    assert (run.tag, run.missing, run.unknown) == ("", 2, 2)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_is_that_of_scores_then_ids_whatever_the_lines_and_ranks(tmp_path, seed):
    rng = np.random.default_rng(seed)
    documents = [f"d{i}" for i in range(12)]
    scores = {q: dict(zip(documents, rng.integers(0, 4, 12).tolist(), strict=True)) for q in "xy"}
    lines = [f"{q} Q0 {d} {{}} {s} t" for q in "xy" for d, s in scores[q].items()]
    rng.shuffle(lines)
    ranks = rng.permutation(len(lines))
    text = "\r\n".join(line.format(r) for line, r in zip(lines, ranks, strict=True))
    (tmp_path / "x.trec").write_text(text)
    run = read_run(tmp_path / "x.trec", ["x", "y"], documents)
    for i, query in enumerate("xy"):
        want = sorted(((s, d) for d, s in scores[query].items()), reverse=True)
        assert run.ranking.of(i) == [(d, float(s)) for s, d in want]
    assert run.reordered == 2


@pytest.mark.parametrize("first", [0, 1, 7])
def test_ranks_that_agree_with_the_scores_are_no_surprise(tmp_path, first):
    lines = [f"q1 Q0 {d} {first + i} {3 - i} t" for i, d in enumerate(["c", "a", "Ann"])]
    (tmp_path / "x.trec").write_text("\n".join(reversed(lines)))
    assert read_run(tmp_path / "x.trec", ["q1"], ["a", "Ann", "c"]).reordered == 0
