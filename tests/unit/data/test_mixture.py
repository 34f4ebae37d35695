import dataclasses
from collections import Counter

import numpy as np
import pytest

from trivet.core.errors import ConfigError, DataError
from trivet.core.schema import content
from trivet.data.columns import Columns
from trivet.data.mixture import Family, Mixture
from trivet.data.sources import Source
from trivet.data.table import Record, Table, write_table

BATCH = 6
SIZES = {"a": 60, "b": 33, "c": 14}  # 10, 5 and 2 batches an epoch; 0, 3 and 2 rows over
ORDERS = ["sequential", "proportional", "temperature"]


@pytest.fixture
def tables(tmp_path):
    out = []
    for name, size in SIZES.items():
        rows = (Record(f"{name} {i}", [f"document {name} {i}"], []) for i in range(size))
        write_table(tmp_path / name, rows, "pairs", name)
        out.append(Table.open(tmp_path / name, name, {}, False))
    return out


def sources(names="abc"):
    columns = Columns(query="q", positive="p")
    return [Source(name, columns=columns, path="unread") for name in names]


def opened(tables, order="sequential", *, epochs=1, temperature=1.0, seed=0, rank=0, world=1):
    mixture = Mixture(sources(), order, temperature, epochs)
    return mixture.open(batch=BATCH, seed=seed, rank=rank, world=world, tables=tables)


def walk(batches):
    return [(batches[i].source, batches[i].rows) for i in range(len(batches))]


@pytest.mark.parametrize("order", ORDERS)
def test_every_batch_is_full_of_one_source_and_reads_what_it_names(tables, order):
    batches = opened(tables, order)
    assert len(batches) == 17
    for step in range(len(batches)):
        got = batches[step]
        assert len(got.rows) == BATCH
        assert got.queries == [f"{got.source} {row}" for row in got.rows]
        assert got.documents == [[f"document {got.source} {row}"] for row in got.rows]


def test_sequential_takes_one_source_after_another_in_each_epoch(tables):
    names = [name for name, _ in walk(opened(tables, epochs=2))]
    assert names == (["a"] * 10 + ["b"] * 5 + ["c"] * 2) * 2


@pytest.mark.parametrize("order", ["sequential", "proportional"])
def test_each_epoch_holds_every_row_once_less_the_last_part_of_a_batch(tables, order):
    seen = {name: [] for name in SIZES}
    for name, rows in walk(opened(tables, order, epochs=3)):
        seen[name] += rows
    for name, size in SIZES.items():
        whole = size // BATCH * BATCH
        assert len(seen[name]) == 3 * whole
        for epoch in range(3):
            rows = seen[name][epoch * whole : (epoch + 1) * whole]
            assert len(set(rows)) == whole
            assert set(rows) <= set(range(size))


def test_proportional_ends_an_epoch_of_every_source_before_the_next_begins(tables):
    names = [name for name, _ in walk(opened(tables, "proportional", epochs=4))]
    epochs = [names[start : start + 17] for start in range(0, len(names), 17)]
    assert [Counter(epoch) for epoch in epochs] == [{"a": 10, "b": 5, "c": 2}] * 4
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_proportional_mixes_the_sources_instead_of_queueing_them(tables):
    names = [name for name, _ in walk(opened(tables, "proportional", epochs=4))]
    changes = sum(one != other for one, other in zip(names, names[1:], strict=False))
    assert changes > 2 * len(SIZES) * 4


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 5.0, 100.0])
def test_temperature_gives_each_source_its_share_to_within_a_batch(tables, temperature):
    batches = opened(tables, "temperature", temperature=temperature, epochs=10)
    counts = Counter(name for name, _ in walk(batches))
    weights = {name: (size // BATCH) ** (1 / temperature) for name, size in SIZES.items()}
    for name, weight in weights.items():
        assert abs(counts[name] - len(batches) * weight / sum(weights.values())) <= 1
    assert len(batches) == 170


@pytest.mark.parametrize("order", ORDERS)
def test_a_batch_depends_on_its_step_and_on_nothing_read_before(tables, order):
    whole = walk(opened(tables, order, epochs=2))
    fresh = opened(tables, order, epochs=2)
    for step in np.random.default_rng(0).permutation(len(whole)):
        got = fresh[int(step)]
        assert (got.source, got.rows) == whole[step]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("world", [1, 2, 3])
def test_ranks_share_a_step_s_source_and_split_its_rows(tables, order, world):
    whole = walk(opened(tables, order, epochs=2))
    ranks = [walk(opened(tables, order, epochs=2, rank=r, world=world)) for r in range(world)]
    for step, (source, rows) in enumerate(whole):
        assert {rank[step][0] for rank in ranks} == {source}
        parts = [rank[step][1] for rank in ranks]
        assert {len(part) for part in parts} == {BATCH // world}
        assert sorted(row for part in parts for row in part) == sorted(rows)


def test_each_epoch_and_each_seed_has_an_order_of_its_own(tables):
    one, other = walk(opened(tables, epochs=2)), walk(opened(tables, epochs=2, seed=1))
    assert one[:10] != one[17:27]
    assert one != other
    assert one == walk(opened(tables, epochs=2))
    assert [row for _, rows in one[:10] for row in rows] != list(range(60))


def test_one_source_s_order_does_not_hang_on_its_neighbours(tables):
    alone = Mixture(sources("b")).open(batch=BATCH, seed=0, tables=tables[1:2])
    assert walk(alone) == walk(opened(tables))[10:15]


def test_a_source_smaller_than_a_batch_is_named(tables):
    with pytest.raises(DataError, match="c: holds 14 rows, less than one batch of 15") as caught:
        Mixture(sources()).open(batch=15, seed=0, tables=tables)
    assert caught.value.fix


def test_a_source_smaller_than_a_batch_can_be_left_out_and_changes_no_other(tables):
    batches = Mixture(sources(), skip_small=True).open(batch=15, seed=0, tables=tables)
    without = Mixture(sources("ab")).open(batch=15, seed=0, tables=tables[:2])
    assert walk(batches) == walk(without)
    with pytest.raises(DataError, match="no source has a batch of 61"):
        Mixture(sources(), skip_small=True).open(batch=61, seed=0, tables=tables)


def test_families_are_only_another_way_to_write_sources():
    one, two, three = sources()
    flat = Mixture([one, two, three])
    families = {"first": Family([one, two]), "unknown": Family(rows=5)}
    grouped = Mixture([three], families=families)
    assert [source.name for source in grouped.sources] == ["a", "b", "c"]
    assert dataclasses.replace(grouped).sources == grouped.sources
    for mixture in (flat, grouped):
        for source in mixture.sources:
            source._seen["rows"] = "f"  # as though its file had been read
    assert content(grouped) == content(flat)
    with pytest.raises(ConfigError, match="neither sources nor rows"):
        Family()


def test_a_batch_that_ranks_cannot_share_is_refused(tables):
    with pytest.raises(ConfigError, match="6 rows cannot be shared by 4 ranks"):
        opened(tables, world=4)


def test_no_step_lies_before_the_first_or_after_the_last(tables):
    batches = opened(tables)
    for step in (-1, len(batches)):
        with pytest.raises(IndexError):
            batches[step]


def test_a_row_that_was_dropped_never_comes(tables):
    kept = tables[0].keep(np.arange(0, 60, 2))
    batches = Mixture(sources("a")).open(batch=BATCH, seed=0, tables=[kept])
    assert sorted(row for _, rows in walk(batches) for row in rows) == list(range(0, 60, 2))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"sources": []}, "no source"),
        ({"sources": sources("aa")}, "one name"),
        ({"temperature": 0.0, "order": "temperature"}, "above 0"),
        ({"temperature": 2.0}, "means nothing with order=sequential"),
        ({"epochs": 0}, "at least 1"),
    ],
)
def test_a_mixture_that_cannot_run_is_refused(fields, words):
    with pytest.raises(ConfigError, match=words):
        Mixture(**({"sources": sources()} | fields))
