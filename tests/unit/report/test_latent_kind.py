"""The rule that says what kind of term a latent is."""

import numpy as np
import pytest

from trivet.core.errors import ConfigError
from trivet.report.latent_kind import KINDS, PUBLISHED, Rule, forms, shares, spread


@pytest.mark.parametrize(
    ("weights", "wanted"),
    [([5.0], 1), ([2.0, 2.0], 2), ([1.0] * 7, 7), ([3.0, 1.0, 0.0], 4 / 3**0.75)],
)
def test_weight_lies_on_as_many_tokens_as_its_entropy_says(weights, wanted):
    assert forms(weights) == pytest.approx(wanted)


def test_the_scale_runs_from_one_document_to_any_two():
    assert spread(0.9, 0.9, 0.1) == 0 and spread(0.1, 0.9, 0.1) == 1
    assert spread(0.7, 0.9, 0.1) == pytest.approx(0.25)
    assert np.isnan(spread(0.5, 0.1, 0.9))  # such a scale says nothing


@pytest.mark.parametrize(
    ("tokens", "wide", "kind"),
    [
        (4.0, 0.9, "lexical"),
        (4.1, 0.5, "narrow semantic"),
        (4.1, 0.51, "broad topical"),
        (1.0, float("nan"), "lexical"),
    ],
)
def test_few_tokens_are_lexical_and_of_the_rest_like_contexts_are_narrow(tokens, wide, kind):
    assert Rule().kind(tokens, wide) == kind


def test_shares_add_up_and_their_intervals_hold_them():
    kinds = ["lexical"] * 30 + ["narrow semantic"] * 10 + ["broad topical"] * 60
    found = shares(kinds)
    assert [one.kind for one in found] == list(KINDS)
    assert [one.value for one in found] == pytest.approx([0.3, 0.1, 0.6])
    for one in found:
        wide = 1.96 * np.sqrt(one.value * (1 - one.value) / 100)
        assert one.low == pytest.approx(one.value - wide, abs=0.02)
        assert one.high == pytest.approx(one.value + wide, abs=0.02)
        assert one.published == PUBLISHED[one.kind]
    (none,) = [one for one in shares(["lexical"] * 3) if one.kind == "broad topical"]
    assert none.value == none.low == 0 and 0.5 < none.high < 0.6  # three latents say little
    assert sum(PUBLISHED.values()) == pytest.approx(1)


def test_less_than_one_token_is_refused():
    with pytest.raises(ConfigError, match="forms"):
        Rule(forms=0.5)
