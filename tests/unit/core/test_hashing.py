import hashlib

import pytest

from trivet.core.hashing import file_digest, json_digest, texts_digest, tree_digests


def test_a_json_name_ignores_the_order_of_keys_and_nothing_else():
    value = {"a": 1, "b": {"c": [1, 2], "d": None}}
    assert json_digest(value) == json_digest({"b": {"d": None, "c": [1, 2]}, "a": 1})
    others = [
        {"a": 1, "b": {"c": [2, 1], "d": None}},
        {"a": 1.5, "b": {"c": [1, 2], "d": None}},
        {"a": "1", "b": {"c": [1, 2], "d": None}},
        {"a": 1, "b": {"c": [1, 2]}},
        {"a": 1, "b": {"c": [1, 2], "d": "é"}},
    ]
    assert len({json_digest(v) for v in [value, *others]}) == len(others) + 1


def test_a_number_that_equals_nothing_has_no_name():
    with pytest.raises(ValueError):
        json_digest({"a": float("nan")})


def test_a_file_is_named_by_its_bytes(tmp_path):
    data = bytes(range(256)) * 9000
    (tmp_path / "a").write_bytes(data)
    assert file_digest(tmp_path / "a") == hashlib.sha256(data).hexdigest()


def test_a_tree_names_every_file_below_but_those_left_out(tmp_path):
    (tmp_path / "b" / "c").mkdir(parents=True)
    for name in ("a", "b/x", "b/c/y"):
        (tmp_path / name).write_text(name)
    found = tree_digests(tmp_path, skip=["b/x"])
    assert found == {name: hashlib.sha256(name.encode()).hexdigest() for name in ("a", "b/c/y")}


@pytest.mark.parametrize("skipped", [["x"], ["b"]])
def test_only_a_whole_path_is_left_out_of_a_tree(tmp_path, skipped):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x").write_text("1")
    assert list(tree_digests(tmp_path, skip=skipped)) == ["b/x"]


def test_no_two_sequences_of_texts_share_a_name():
    sequences = [[], [""], ["", ""], ["ab"], ["a", "b"], ["b", "a"], ["", "ab"], ["ab", ""], ["é"]]
    assert len({texts_digest(texts) for texts in sequences}) == len(sequences)
    assert texts_digest(iter(["a", "b"])) == texts_digest(["a", "b"])
