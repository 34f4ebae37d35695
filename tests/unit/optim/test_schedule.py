import math

import pytest

from trivet.core.errors import ConfigError
from trivet.optim.schedule import Schedule

SHAPES = ["constant", "linear", "cosine", "inverse_sqrt", "wsd"]


def factors(schedule, steps=100):
    return [schedule.factor(step, steps) for step in range(steps)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("warmup", [10, 0.1])
def test_the_rate_rises_by_equal_parts_to_the_peak(shape, warmup):
    rate = factors(Schedule(shape, warmup=warmup, floor=0.1))
    assert rate[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("warmup", [0, 1, 10, 0.5])
@pytest.mark.parametrize("steps", [1, 2, 7, 100])
def test_the_rate_is_above_0_at_every_step_and_never_above_the_peak(shape, warmup, steps):
    rate = factors(Schedule(shape, warmup=warmup), steps)
    assert min(rate) > 0
    assert max(rate) <= 1.0


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("warmup", [0, 10, 0.25])
def test_once_warm_the_rate_never_rises(shape, warmup):
    schedule = Schedule(shape, warmup=warmup, floor=0.1)
    start = int(warmup if warmup >= 1 else warmup * 100)
    rate = factors(schedule)[max(0, start - 1) :]
    assert rate[0] == pytest.approx(1.0)
    assert all(after <= before + 1e-12 for before, after in zip(rate, rate[1:], strict=False))


@pytest.mark.parametrize("shape", ["linear", "cosine", "wsd"])
@pytest.mark.parametrize("floor", [0.0, 0.2, 1.0])
def test_the_floor_is_reached_when_all_steps_are_done_and_kept_after(shape, floor):
    schedule = Schedule(shape, warmup=5, floor=floor)
    assert [schedule.factor(step, 100) for step in (100, 101, 500)] == pytest.approx([floor] * 3)


def test_linear_is_a_straight_line_from_the_end_of_the_warmup():
    rate = factors(Schedule("linear", warmup=20))
    assert rate[20:] == pytest.approx([1 - i / 80 for i in range(80)])


def test_cosine_is_half_way_down_in_the_middle():
    schedule = Schedule("cosine", warmup=20)
    assert schedule.factor(60, 100) == pytest.approx(0.5)
    assert schedule.factor(40, 100) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)


def test_wsd_stays_at_the_peak_until_its_decay():
    rate = factors(Schedule("wsd", warmup=10, decay=0.2))
    assert rate[10:81] == [1.0] * 71
    assert rate[81:] == pytest.approx([1 - i / 20 for i in range(1, 20)])


def test_inverse_sqrt_halves_when_the_steps_are_four_times_the_warmup():
    schedule = Schedule("inverse_sqrt", warmup=10)
    assert schedule.factor(9, 1000) == 1.0
    assert schedule.factor(39, 1000) == pytest.approx(0.5)


@pytest.mark.parametrize("steps, cycles", [(99, 3), (100, 3), (2, 5)])
def test_each_cycle_is_a_whole_schedule_over_its_share_of_the_steps(steps, cycles):
    schedule = Schedule("linear", warmup=0.1, floor=0.1, cycles=cycles)
    once, share = Schedule("linear", warmup=0.1, floor=0.1), -(-steps // cycles)
    rate = [schedule.factor(step, steps) for step in range(steps)]
    assert rate == [once.factor(step % share, share) for step in range(steps)]


def test_a_warmup_longer_than_the_run_still_only_rises():
    rate = factors(Schedule("linear", warmup=200))
    assert rate == pytest.approx([(i + 1) / 200 for i in range(100)])


@pytest.mark.parametrize(
    "fields, match",
    [
        ({"warmup": -1}, "warmup"),
        ({"floor": 1.5}, "floor"),
        ({"floor": -0.1}, "floor"),
        ({"decay": 2.0}, "decay"),
        ({"cycles": 0}, "cycles"),
    ],
)
def test_shares_that_are_none_are_refused(fields, match):
    with pytest.raises(ConfigError, match=match):
        Schedule(**fields)
