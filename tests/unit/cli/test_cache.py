import pytest

from trivet.cli import main as cli
from trivet.retrieval.cache import Cache


@pytest.fixture
def kept(tmp_path):
    for name in ("a", "b"):
        cache = Cache(folder=str(tmp_path))
        cache.collect({"kind": "dense", "model": name, "model_key": name}, 0, lambda numbers: [])
        cache._held[0].close()
    return tmp_path


def trivet(*words):
    return cli.main(["cache", *words])


def test_entries_are_listed_with_what_made_them(kept, capsys):
    assert trivet("--folder", str(kept)) == 0
    out = capsys.readouterr().out
    assert "2 entries" in out and "kind=dense model=a" in out and "kind=dense model=b" in out


def test_one_entry_or_all_of_them_are_deleted(kept, capsys):
    first, other = (entry.path.name for entry in Cache(folder=str(kept)).entries())
    assert trivet("--folder", str(kept), "--clear", first) == 0
    assert [entry.path.name for entry in Cache(folder=str(kept)).entries()] == [other]
    assert trivet("--folder", str(kept), "--clear") == 0
    assert list(Cache(folder=str(kept)).entries()) == []


def test_an_unknown_entry_is_refused_and_nothing_is_deleted(kept, capsys):
    name = next(Cache(folder=str(kept)).entries()).path.name
    assert trivet("--folder", str(kept), "--clear", name, "zzz") == 2
    assert "no entry zzz" in capsys.readouterr().err
    assert len(list(Cache(folder=str(kept)).entries())) == 2


def test_an_entry_that_a_run_uses_stays(tmp_path, capsys):
    Cache(folder=str(tmp_path)).collect({"model": "a"}, 0, lambda numbers: [])
    held = Cache(folder=str(tmp_path))
    held.collect({"model": "a"}, 0, lambda numbers: [])
    assert trivet("--folder", str(tmp_path), "--clear") == 0
    assert "in use, kept" in capsys.readouterr().out
    assert len(list(held.entries())) == 1
