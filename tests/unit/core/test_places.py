from pathlib import Path

import pytest

from trivet.core import places


def test_configs_in_the_package_come_before_those_of_a_checkout(tmp_path, monkeypatch):
    package = tmp_path / "src" / "trivet"
    package.mkdir(parents=True)
    monkeypatch.setattr(places, "_PACKAGE", package)
    assert places.config_folder() == tmp_path / "configs"
    (package / "configs").mkdir()
    assert places.config_folder() == package / "configs"


def test_the_config_tree_and_the_demos_data_are_where_they_are_said_to_be():
    assert (places.config_folder() / "train.yaml").is_file()
    assert (places.asset("demo") / "scifact" / "corpus.jsonl.zst").is_file()


@pytest.mark.parametrize(
    "named, base, where",
    [
        ("/a/b", "/c", "/a/b"),
        ("~/mine", "", "/home/ann/mine"),
        ("", "/c", "/c/trivet"),
        ("", "", "/home/ann/.cache/trivet"),
    ],
)
def test_a_named_cache_comes_first_then_the_users_own(named, base, where, monkeypatch):
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.setenv("TRIVET_CACHE", named)
    monkeypatch.setenv("XDG_CACHE_HOME", base)
    assert places.cache_folder() == Path(where)
