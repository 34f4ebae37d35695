"""A share of a source's rows, and the count that its publisher gives."""

import json
import logging

import numpy as np
import pytest

from trivet.core.errors import ConfigError
from trivet.core.schema import content
from trivet.data.columns import Columns
from trivet.data.sample import sampled
from trivet.data.sources import Source

PAIRS = Columns(query="q", positive="p")


def write(path, count, first=0):
    rows = ({"q": f"q{i}", "p": f"p{i}"} for i in range(first, first + count))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def queries(table):
    return table.read(np.arange(len(table))).queries


@pytest.mark.parametrize("share", [0.01, 0.08, 0.5, 0.999])
def test_a_sample_is_as_large_as_its_share_within_five_deviations(share):
    found = sum(sampled(row, share) for row in range(20_000))
    assert abs(found - 20_000 * share) < 5 * (20_000 * share * (1 - share)) ** 0.5


def test_a_smaller_share_lies_within_a_larger_one():
    small, large = ({row for row in range(5000) if sampled(row, s)} for s in (0.1, 0.3))
    assert small < large


def test_a_sample_favours_no_part_of_the_rows():
    halves = [sum(sampled(row, 0.2) for row in range(half, 20_000, 2)) for half in (0, 1)]
    assert abs(halves[0] - halves[1]) < 5 * (20_000 * 0.2 * 0.8) ** 0.5


def test_a_sample_does_not_depend_on_how_rows_are_spread_over_files(tmp_path):
    whole = write(tmp_path / "all.jsonl", 900)
    parts = [write(tmp_path / f"{i}.jsonl", 300, 300 * i) for i in range(3)]
    one = Source("s", columns=PAIRS, path=whole, share=0.1).open(tmp_path / "a")
    other = Source("s", columns=PAIRS, path=parts, share=0.1).open(tmp_path / "b")
    expected = [f"q{i}" for i in range(900) if sampled(i, 0.1)]
    assert queries(one) == queries(other) == expected


def test_a_limit_takes_the_first_rows_of_the_sample(tmp_path):
    path = write(tmp_path / "rows.jsonl", 400)
    sample = queries(Source("s", columns=PAIRS, path=path, share=0.2).open(tmp_path))
    first = Source("s", columns=PAIRS, path=path, share=0.2, limit=7).open(tmp_path)
    assert queries(first) == sample[:7]


def test_the_share_names_the_rows_and_their_count_does_not(tmp_path):
    path = write(tmp_path / "rows.jsonl", 40)

    def key(**fields):
        return content(Source("s", columns=PAIRS, path=path, **fields))

    assert key(share=0.2) != key(share=0.3) != key()
    assert key(rows=40) == key() and key(rows=40, share=0.2) == key(share=0.2)
    assert "share" not in key()  # artifacts made before there were shares keep their names


@pytest.mark.parametrize(
    ("rows", "share", "warned"),
    [(1000, None, False), (960, None, False), (940, None, True), (1060, None, True),
     (1000, 0.1, False), (500, 0.1, True)],
)  # fmt: skip
def test_a_count_that_is_not_the_published_one_is_said_each_time(
    tmp_path, caplog, monkeypatch, rows, share, warned
):
    monkeypatch.setattr(logging.getLogger("trivet"), "propagate", True)
    path = write(tmp_path / "rows.jsonl", 1000)
    for _ in range(2):  # the second time from the cache
        caplog.clear()
        Source("s", columns=PAIRS, path=path, rows=rows, share=share).open(tmp_path / "c")
        said = f"s holds 1000 rows, published are {rows}"
        assert {record.message for record in caplog.records} == ({said} if warned else set())


def test_what_to_expect_follows_from_count_share_and_limit():
    def expected(**fields):
        return Source("s", columns=PAIRS, path="x", **fields).expected

    assert expected() is None and expected(share=0.5) is None
    assert expected(rows=1000) == 1000
    assert expected(rows=1000, share=0.08) == 80
    assert expected(rows=1000, share=0.08, limit=50) == 50


@pytest.mark.parametrize(
    "fields", [{"share": 0.0}, {"share": 1.0}, {"share": -0.1}, {"share": 1.5}, {"rows": 0}]
)
def test_a_share_or_a_count_that_cannot_be_is_refused(fields):
    with pytest.raises(ConfigError, match=next(iter(fields))):
        Source("s", columns=PAIRS, path="x", **fields)
