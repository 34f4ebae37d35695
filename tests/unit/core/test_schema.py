from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import pytest

from trivet.core.errors import ConfigError
from trivet.core.schema import build, content, unkeyed


class Scorer(Protocol):
    def score(self, text: str) -> float: ...


@dataclass
class Length:
    weight: float = 1.0

    def score(self, text: str) -> float:
        return self.weight * len(text)


@dataclass
class Mute:
    weight: float = 1.0


@dataclass
class Pair:
    low: int
    high: int = 10

    def __post_init__(self):
        if self.low > self.high:
            raise ConfigError("must not be above high", where="low", fix="Lower it")


@dataclass
class Stage:
    steps: int
    rate: float = 0.1
    name: str = "x"
    fast: bool = False
    side: Literal["query", "document"] = "query"
    limit: int | None = None
    pair: Pair = field(default_factory=lambda: Pair(1))
    either: int | Pair = 0
    pairs: list[Pair] = field(default_factory=list)
    named: dict[str, float] = field(default_factory=dict)
    scorer: Scorer | None = None
    base: Pair | None = None
    free: Any = None


class NotAData:
    pass


def here(cls):
    return f"{__name__}.{cls.__name__}"


def make(path="stage", **values):
    return build({"_target_": here(Stage), "steps": 5, **values}, Any, path)


def refused(path="stage", **values):
    with pytest.raises(ConfigError) as caught:
        make(path, **values)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_whole_config_becomes_typed_objects():
    stage = make(
        pair={"low": 2},
        pairs=[{"low": 1}, {"low": 3, "high": 4}],
        named={"a": 1, "b": 2.5},
        scorer={"_target_": here(Length), "weight": 2},
        free={"any": [1, {"thing": None}]},
    )
    assert stage == Stage(
        5,
        pair=Pair(2),
        pairs=[Pair(1), Pair(3, 4)],
        named={"a": 1.0, "b": 2.5},
        scorer=Length(2.0),
        free={"any": [1, {"thing": None}]},
    )
    assert type(stage.named["a"]) is type(stage.scorer.weight) is float


def test_an_unknown_key_is_named_with_its_place_and_the_nearest_name():
    error = refused(pair={"low": 1, "hihg": 3})
    assert (error.where, error.fix) == ("stage.pair.hihg", "Did you mean high?")


@pytest.mark.parametrize(
    "key, value",
    [
        ("steps", "5"),
        ("steps", 5.0),
        ("steps", True),
        ("steps", None),
        ("rate", "0.1"),
        ("rate", True),
        ("name", 3),
        ("fast", 1),
        ("limit", "none"),
        ("pair", 3),
        ("pairs", {"low": 1}),
        ("named", [1.0]),
        ("side", ["query"]),
    ],
)
def test_a_wrong_type_is_refused_at_its_place(key, value):
    assert refused(**{key: value}).where == f"stage.{key}"


@pytest.mark.parametrize(
    "key, value, where",
    [
        ("pairs", [{"low": 1}, {"low": "1"}], "stage.pairs[1].low"),
        ("named", {"a": 1.0, "b": "c"}, "stage.named.b"),
    ],
)
def test_a_wrong_item_is_named_by_its_place_in_the_list_or_mapping(key, value, where):
    assert refused(**{key: value}).where == where


def test_a_whole_number_serves_as_a_float():
    assert make(rate=1).rate == 1.0 and type(make(rate=1).rate) is float


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_a_number_without_a_name_in_json_is_refused_at_its_place(value):
    assert refused(rate=value).where == "stage.rate"
    assert refused(named={"a": value}).where == "stage.named.a"


def test_a_choice_is_one_of_those_there_are():
    assert make(side="document").side == "document"
    error = refused(side="documnet")
    assert error.where == "stage.side" and "document" in error.fix


def test_a_missing_value_is_named_whether_absent_or_left_open():
    for pair in ({}, {"low": "???"}):
        error = refused(pair=pair)
        assert (error.where, error.fix) == ("stage.pair.low", "Set stage.pair.low=…")


@pytest.mark.parametrize("path", ["", "stage"])
def test_a_place_has_no_stray_dots(path):
    where = refused(path, nope=1).where
    assert where == (f"{path}.nope" if path else "nope")
    assert refused(path, free={"a": {"b": "???"}}).where.endswith("free.a.b")


def test_a_union_takes_what_any_side_takes():
    assert make(limit=None).limit is None
    assert make(limit=3).limit == 3
    assert make(either=4).either == 4
    assert make(either={"low": 4}).either == Pair(4)
    assert refused(either="four").where == "stage.either"
    named = refused(either={"_target_": here(Pair), "low": "four"})
    assert named.where == "stage.either.low"  # of what is named, what is wrong with it


def test_an_optional_dataclass_keeps_its_own_error():
    error = refused(base={"low": 1, "hihg": 2})
    assert error.where == "stage.base.hihg"


def test_a_target_must_do_what_the_place_asks():
    assert isinstance(make(scorer={"_target_": here(Length)}).scorer, Length)
    error = refused(scorer={"_target_": here(Mute)})
    assert error.where == "stage.scorer" and "Scorer" in str(error)
    assert "Pair" in str(refused(pair={"_target_": here(Mute)}))


@pytest.mark.parametrize(
    "target", [here(NotAData), "os.getcwd", "no.such.Thing", "trivet.core.schema.Nope", "", "x"]
)
def test_a_target_that_is_no_dataclass_is_refused(target):
    with pytest.raises(ConfigError) as caught:
        build({"_target_": target}, Any, "stage")
    assert caught.value.where == "stage"


def test_a_rule_across_fields_is_told_with_its_place():
    error = refused(pairs=[{"low": 1}, {"low": 11}])
    assert (error.where, error.fix) == ("stage.pairs[1].low", "Lower it")
    assert error.what == "must not be above high"


@dataclass
class Reader:
    path: str = unkeyed("a")
    width: int = 3
    extras: list[str] = unkeyed(factory=list)
    cached: int = field(default=0, init=False)

    def fingerprint(self):
        return {"sha": f"of {self.path}"}


def test_content_leaves_unkeyed_fields_out_and_adds_what_was_read():
    found = content(Reader("b", extras=["x"]))
    assert found == {
        "_target_": f"{Reader.__module__}.Reader",
        "width": 3,
        "fingerprint": {"sha": "of b"},
    }


def test_content_changes_with_a_keyed_field_and_only_with_one():
    plain = content(Stage(5))
    assert content(Stage(5)) == plain
    for other in (
        Stage(6),
        Stage(5, pair=Pair(2)),
        Stage(5, pairs=[Pair(1)]),
        Stage(5, scorer=Length()),
    ):
        assert content(other) != plain
    assert content({"r": [Mute(1.0)]}) != content({"r": [Length(1.0)]})


def test_an_unkeyed_field_is_configured_as_any_other():
    assert Reader().path == "a" and Reader("b").extras == []
    assert Reader().extras is not Reader().extras
