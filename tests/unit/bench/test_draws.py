import collections

import pytest

from trivet.bench.draws import draw, draw_names, stream
from trivet.core.errors import ConfigError


def test_a_draw_has_each_item_at_most_once_and_leaves_the_items_alone():
    items = list(range(20))
    assert sorted(draw(stream(0), items)) == items == list(range(20))
    assert len(set(draw(stream(0), items, 7))) == 7


def test_every_order_is_drawn_about_equally_often():
    random = stream(3)
    seen = collections.Counter(tuple(draw(random, "abcd", 2)) for _ in range(12_000))
    assert len(seen) == 12
    assert all(850 < count < 1150 for count in seen.values())  # 1000 +- 5 deviations


def test_a_stream_depends_on_its_seed_and_on_its_purpose():
    first = {stream(*key).random() for key in [(0, "a"), (0, "b"), (1, "a")]}
    assert len(first) == 3
    assert stream(0, "a").random() in first


def test_no_two_people_have_the_same_name_and_more_than_there_are_is_refused():
    assert len(set(draw_names(stream(0), 50_000))) == 50_000
    with pytest.raises(ConfigError, match="names, not 10000000"):
        draw_names(stream(0), 10_000_000)
