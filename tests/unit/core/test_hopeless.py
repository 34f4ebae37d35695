"""The median rule: who is ended, and who is not."""

import pytest

from trivet.core.errors import ConfigError
from trivet.core.hopeless import Hopeless


@pytest.mark.parametrize(
    "better, value, ended",
    [("lower", 2.1, True), ("lower", 2.0, False), ("lower", 1.0, False),
     ("higher", 1.9, True), ("higher", 2.0, False), ("higher", 3.0, False)],
)  # fmt: skip
def test_only_what_is_worse_than_the_median_is_ended(better, value, ended):
    said = Hopeless(better=better).says(10, value, [1.0, 9.0, 2.0])
    assert said == (f"{value:.4g} at step 10, and 3 finished runs had 2" if ended else "")


def test_it_waits_for_enough_runs_and_enough_steps():
    rule = Hopeless(least=3, after=20)
    assert rule.says(21, 5.0, [1.0, 1.0]) == ""
    assert rule.says(20, 5.0, [1.0] * 3) == ""
    assert rule.says(21, 5.0, [1.0] * 3)


def test_what_is_no_number_is_left_to_those_who_stop_at_it():
    assert Hopeless().says(1, float("nan"), [1.0] * 3) == ""


@pytest.mark.parametrize("wrong", [{"least": 0}, {"after": -1}])
def test_a_rule_without_sense_is_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Hopeless(**wrong)
