import errno
import os
import subprocess
import sys

import pytest
import torch

from trivet.core.errors import ConfigError, TrivetError
from trivet.core.ragged import Ragged
from trivet.retrieval.cache import Cache
from trivet.retrieval.vectors import Shard

KEY = {"model_key": "m", "texts": "t"}


def dense(number):
    rows = torch.arange(3) + 3 * number
    return Shard(rows, torch.full((3, 2), float(number)), number)


def ragged(number):
    bags = Ragged.of([torch.full((length, 2), float(number)) for length in (1, 0, 4)])
    return Shard(torch.arange(3), bags, number)


class Maker:
    """Makes shards and counts them."""

    def __init__(self, kind=dense, dies_at=None):
        self.kind, self.dies_at, self.made = kind, dies_at, []

    def __call__(self, numbers):
        for number in numbers:
            if number == self.dies_at:
                raise KeyboardInterrupt
            self.made.append(number)
            yield self.kind(number)


@pytest.fixture
def cache(tmp_path):
    return Cache(folder=str(tmp_path / "vectors"))


def same(one, other):
    if isinstance(one.vectors, Ragged):
        assert torch.equal(one.vectors.values, other.vectors.values)
        assert torch.equal(one.vectors.offsets, other.vectors.offsets)
    else:
        assert torch.equal(one.vectors, other.vectors)
    assert torch.equal(one.rows, other.rows) and one.truncated == other.truncated


@pytest.mark.parametrize("kind", [dense, ragged])
def test_what_was_made_is_read_back_and_not_made_again(cache, kind):
    maker = Maker(kind)
    for _ in range(2):
        for number, shard in enumerate(cache.collect(KEY, 4, maker)):
            same(shard, kind(number))
    assert maker.made == [0, 1, 2, 3]


def test_a_run_that_was_stopped_goes_on_at_its_shard(cache):
    with pytest.raises(KeyboardInterrupt):
        cache.collect(KEY, 4, Maker(dies_at=2))
    maker = Maker()
    assert cache.collect(KEY, 4, maker).truncated() == 0 + 1 + 2 + 3
    assert maker.made == [2, 3]


@pytest.mark.parametrize("harm", ["flip", "cut", "grow"])
def test_a_damaged_shard_is_made_again(cache, harm, caplog):
    cache.collect(KEY, 3, Maker())
    path = sorted(cache.root.rglob("000001.*"))[0]
    data = bytearray(path.read_bytes())
    data = {"flip": data[:-1] + bytes([data[-1] ^ 1]), "cut": data[:-4], "grow": data + b"x"}[harm]
    path.write_bytes(data)
    maker = Maker()
    for number, shard in enumerate(cache.collect(KEY, 3, maker)):
        same(shard, dense(number))
    assert maker.made == [1] and "damaged" in caplog.text


def test_another_key_is_another_entry(cache):
    cache.collect(KEY, 2, Maker())
    maker = Maker()
    cache.collect({**KEY, "texts": "others"}, 2, maker)
    assert maker.made == [0, 1] and len(list(cache.entries())) == 2


@pytest.mark.parametrize("key, use", [(None, True), (KEY, False)])
def test_without_a_key_or_when_switched_off_nothing_is_written(tmp_path, key, use):
    cache = Cache(folder=str(tmp_path / "v"), use=use)
    maker = Maker()
    cache.collect(key, 2, maker)
    cache.collect(key, 2, maker)
    assert maker.made == [0, 1] * 2 and not (tmp_path / "v").exists()


def test_a_full_disk_costs_the_cache_and_not_the_result(cache, monkeypatch, caplog):
    real = Shard.save

    def save(shard, folder, number):
        if number >= 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(shard, folder, number)

    monkeypatch.setattr(Shard, "save", save)
    for number, shard in enumerate(cache.collect(KEY, 4, Maker())):
        same(shard, dense(number))
    assert caplog.text.count("No space left") == 1
    assert [path.name[:6] for path in cache.root.rglob("*.safetensors")] == ["000000"]


def test_a_folder_that_cannot_be_written_costs_the_cache_and_not_the_result(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    cache = Cache(folder=str(tmp_path / "file" / "inside"))
    assert len(list(cache.collect(KEY, 2, Maker()))) == 2
    assert "not kept" in caplog.text


def test_a_half_written_shard_is_none(cache, monkeypatch):
    def die(path, data):
        path.write_bytes(data[:10])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("trivet.retrieval.vectors.write_bytes", die)
        with pytest.raises(KeyboardInterrupt):
            cache.collect(KEY, 1, Maker())
    maker = Maker()
    cache.collect(KEY, 1, maker)
    assert maker.made == [0]


def test_the_entry_that_was_not_used_for_longest_goes_first_and_one_in_use_stays(tmp_path):
    folder, keys = str(tmp_path / "v"), [{"texts": name} for name in "abc"]
    for i, key in enumerate(keys):
        made = Cache(folder=folder)
        made.collect(key, 1, Maker())
        if i > 0:
            for stream in made._held:
                stream.close()  # its run has ended
        else:
            in_use = made
        for entry in made.entries():
            if entry.facts == key:
                os.utime(entry.path / "entry.json", (i, i))
    Cache(folder=folder, limit_gib=1e-9).collect({"texts": "d"}, 1, Maker())
    left = sorted(entry.facts["texts"] for entry in Cache(folder=folder).entries())
    assert left == ["a", "d"]
    assert len(list(in_use.entries())) == 2


def test_a_shard_that_was_removed_meanwhile_is_one_line(cache):
    found = cache.collect(KEY, 1, Maker())
    next(cache.root.rglob("*.safetensors")).unlink()
    with pytest.raises(TrivetError, match="removed from the cache"):
        list(found)


def test_a_limit_that_holds_nothing_is_refused():
    with pytest.raises(ConfigError, match="limit_gib"):
        Cache(limit_gib=0.0)


_RANK = """
import sys
import torch
sys.path.insert(0, sys.argv[1])
from test_cache import KEY, Maker, dense, same
from trivet.core.ranks import gather, rank
from trivet.retrieval.cache import Cache
for use in (True, False):
    maker = Maker()
    found = list(Cache(folder=sys.argv[2], use=use).collect(KEY, 5, maker))
    assert maker.made == list(range(rank(), 5, 2)), maker.made
    for number, shard in enumerate(found):
        same(shard, dense(number))
assert gather(rank()) == [0, 1]
print("fine")
"""


def test_two_processes_make_half_of_the_shards_each_and_have_them_all(tmp_path, free_port):
    env = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port)}
    env |= {"WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _RANK, os.path.dirname(__file__), str(tmp_path / "v")]
    both = [
        subprocess.Popen(command, env=env | {"RANK": str(i)}, stdout=-1, stderr=-1, text=True)
        for i in range(2)
    ]
    for process in both:
        out, error = process.communicate(timeout=120)
        assert out == "fine\n", error


def test_an_entry_that_cannot_be_read_stops_no_other_and_can_be_removed(tmp_path):
    made = Cache(folder=str(tmp_path))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "entry.json").write_text("garb")
    (entry,) = made.entries()
    assert entry.facts == {"kind": "damaged"}
    made._evict()
    assert entry.remove() and list(made.entries()) == []


def test_an_entry_grows_by_shards_of_any_number_and_a_damaged_one_is_made_again(cache):
    maker = Maker(ragged)

    def one(number, own):
        return own.one(KEY, number, lambda: next(iter(maker([number]))))

    for number in (7, 10**12, 7, 10**12):
        same(one(number, cache), ragged(number))
    assert maker.made == [7, 10**12]
    (entry,) = cache.entries()
    (damaged,) = entry.path.glob("000007.*")
    damaged.write_bytes(damaged.read_bytes()[:-1])
    same(one(7, cache), ragged(7))
    assert maker.made == [7, 10**12, 7]
    same(one(7, Cache(use=False)), ragged(7))
    assert len(list(cache.entries())) == 1
