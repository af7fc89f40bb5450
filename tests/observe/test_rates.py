"""Counters become rates, or no rate rather than a wrong one."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd.clock import Instant
from healthd.observe._rates import Rates
from healthd.observe._shares import percent, shares


def at(since_boot: float, asleep: float = 0.0) -> Instant:
    return Instant(1767254400.0 + since_boot, since_boot, asleep)


def test_the_first_sample_has_no_rate_and_the_second_has():
    rates = Rates()
    assert rates.per_second("a", at(100.0), (1000, 7)) == [None, None]
    assert rates.per_second("a", at(104.0), (3000, 7)) == [500.0, 0.0]
    assert rates.deltas("a", at(106.0), (3001, 9)) == (2.0, [1, 2])


def test_a_counter_that_went_backwards_gives_no_rate_for_any_and_a_new_start():
    rates = Rates()
    rates.per_second("a", at(100.0), (1000, 1000))
    assert rates.per_second("a", at(105.0), (2000, 10)) == [None, None]
    assert rates.per_second("a", at(110.0), (3000, 60)) == [200.0, 10.0]


def test_the_wall_clock_has_no_part_in_it():
    rates = Rates()
    rates.per_second("a", Instant(0.0, 100.0, 0.0), (0,))
    assert rates.per_second("a", Instant(1767254400.0, 105.0, 0.0), (10,)) == [2.0]
    assert rates.per_second("a", Instant(5.0, 110.0, 0.0), (20,)) == [2.0]


@pytest.mark.parametrize("seconds", [0.0, -5.0])
def test_without_time_between_there_is_no_rate(seconds):
    rates = Rates()
    rates.per_second("a", at(100.0), (0,))
    assert rates.per_second("a", at(100.0 + seconds), (10,)) == [None]


def test_a_machine_that_slept_in_between_has_no_rate_and_then_has_one_again():
    rates = Rates()
    rates.per_second("a", at(100.0), (0,))
    assert rates.per_second("a", at(3705.0, asleep=3600.0), (10,)) == [None]
    assert rates.per_second("a", at(3710.0, asleep=3600.0), (20,)) == [2.0]


def test_clocks_that_were_read_one_after_the_other_are_no_sleep():
    rates = Rates()
    rates.per_second("a", at(100.0, asleep=0.0), (0,))
    assert rates.per_second("a", at(105.0, asleep=0.05), (10,)) == [2.0]
    assert rates.per_second("a", at(110.0, asleep=0.11), (20,)) == [None]


def test_another_number_of_counters_starts_anew():
    rates = Rates()
    rates.per_second("a", at(100.0), (0, 0))
    assert rates.per_second("a", at(105.0), (10,)) == [None]
    assert rates.per_second("a", at(110.0), (20,)) == [2.0]


def test_each_instance_has_its_own_counters_and_starts_anew_after_it_was_gone():
    rates = Rates()
    rates.per_second("a", at(100.0), (0,))
    rates.per_second("b", at(100.0), (1000,))
    assert rates.per_second("a", at(105.0), (10,)) == [2.0]
    assert rates.per_second("b", at(105.0), (2000,)) == [200.0]
    rates.keep({"b"})
    assert rates.per_second("a", at(110.0), (20,)) == [None]
    assert rates.per_second("b", at(110.0), (2000,)) == [0.0]


def test_a_rate_has_the_resolution_that_is_asked_for():
    rates = Rates()
    rates.per_second("a", at(0.0), (0,))
    assert rates.per_second("a", at(3.0), (10,), digits=1) == [3.3]
    assert rates.per_second("a", at(6.0), (20,)) == [3.0]


@given(
    st.lists(st.tuples(st.floats(-10, 1e6), st.floats(0, 100), st.integers(0, 2**64)), min_size=2, max_size=20),
)
def test_no_series_of_counters_gives_a_negative_or_endless_rate(steps):
    rates = Rates()
    for since_boot, asleep, counter in steps:
        (rate,) = rates.per_second("a", at(round(since_boot, 3), asleep), (counter,))
        assert rate is None or (rate >= 0.0 and math.isfinite(rate))


def test_a_part_of_an_unknown_whole_or_of_none_is_unknown():
    assert percent(1, 3) == 33.3
    assert [percent(None, 3), percent(1, None), percent(1, 0)] == [None, None, None]
    assert shares([0, 0]) is None
    assert shares([1, 2, 1]) == [25.0, 50.0, 25.0]
