"""Operators look back: by what they remember, which is bounded."""

import json
from functools import partial
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd.health import operand
from healthd.health.operand import COVERAGE, OPERATORS

VALUES = {
    "mean": st.floats(0, 100),
    "increase": st.integers(0, 50),
    "seconds_to_limit": st.integers(1, 10**6),
    "share": st.tuples(st.floats(0, 100), st.floats(0, 100)),
}
FLAGS = st.booleans()


def looks(name, series, window=600.0, step=5.0, start=0.0):
    """Return what an operator says to each value."""
    memory, found = None, []
    for number, value in enumerate(series):
        memory, said, due = OPERATORS[name].look(memory, value, start + number * step, window)
        assert due > start + number * step
        found.append(said)
    return found, memory


@given(st.lists(st.floats(0, 100), min_size=130, max_size=200))
def test_a_mean_is_that_of_the_window_to_one_part_of_it(series):
    found, _ = looks("mean", series)
    assert found[: int(COVERAGE * 120)] == [None] * int(COVERAGE * 120)
    # Between the last 600 s and the last 630 s: 120 to 126 values that were held for 5 s each.
    means = [sum(series[-1 - held : -1]) / held for held in range(119, 128)]
    assert min(means) - 1e-9 <= found[-1] <= max(means) + 1e-9


def test_a_mean_weighs_by_time_and_leaves_out_what_was_not_seen():
    series = [10.0] * 10 + [40.0] * 5 + [None] * 4 + [40.0] * 5 + [0.0]
    found, _ = looks("mean", series, step=30.0)
    assert found[-1] == pytest.approx((10.0 * 6 + 40.0 * 10) / 16)
    assert found[15] is None, "of ten minutes, seven and a half were seen"


def test_a_share_is_that_of_all_that_came_within_the_window():
    # For five minutes 10 and then 1000 packets a second, of which one a second failed.
    found, _ = looks("share", [(1.0, 10.0)] * 60 + [(1.0, 1000.0)] * 61)
    assert found[:96] == [None] * 96
    assert found[-1] == pytest.approx(600.0 / (10.0 * 300 + 1000.0 * 300))
    gone, _ = looks("share", [(5.0, 10.0)] * 60 + [(0.0, 10.0)] * 130)
    assert (gone[119] > 0.2, gone[-1]) == (True, 0.0)


def test_what_was_not_seen_is_in_no_share():
    found, _ = looks("share", [(1.0, 10.0)] * 60 + [None] * 20 + [(3.0, 10.0)] * 60)
    assert found[-1] == pytest.approx((1.0 * 41 + 3.0 * 59) / 1000, rel=0.1)


@pytest.mark.parametrize("operator", [operand.mean, operand.share])
def test_one_that_is_looked_at_seldom_knows_the_same(operator):
    """A rate stays the same for an hour, and is then another one for five minutes."""
    first, then = (3.0, 9.0) if operator is operand.mean else ((1.0, 100.0), (1.0, 10.0))
    found = []
    for steps in (720, 1):
        memory, _, _ = operator(None, first, 0.0, 600.0)
        for number in range(1, steps + 1):
            memory, _, _ = operator(memory, first if number < steps else then, 3600.0 / steps * number, 600.0)
        for number in range(1, 61):
            memory, said, _ = operator(memory, then, 3600.0 + 5.0 * number, 600.0)
        found.append(said)
        assert OPERATORS[operator.__name__].remembers(memory)
    assert found[0] == pytest.approx(found[1])
    assert found[0] == pytest.approx(6.0 if operator is operand.mean else 1 / 55, rel=0.1)


def test_what_has_no_part_is_no_share_without_another_look():
    memory, said, due = operand.share(None, (0.0, 100.0), 0.0, 600.0)
    assert (said, due) == (0.0, inf)
    memory, said, due = operand.share(memory, (1.0, 100.0), 3600.0, 600.0)
    assert (said, due) == (0.0, 3630.0)
    memory, said, due = operand.share(memory, None, 3700.0, 600.0)
    assert said == pytest.approx(100.0 / 63000.0, rel=0.1)


@pytest.mark.parametrize(("part", "whole", "share"), [(1.0, 0.0, 1.0), (3.0, 1.0, 1.0), (0.0, 0.0, 0.0)])
def test_a_share_is_never_more_than_all(part, whole, share):
    assert looks("share", [(part, whole)] * 121)[0][-1] == share


def test_of_too_little_there_is_no_share_worth_a_word():
    look = partial(operand.share, least=100)

    def last(rate):
        memory = None
        for number in range(131):
            memory, said, _ = look(memory, (rate / 10, rate), 5.0 * number, 600.0)
        return said

    # Between 600 s and 630 s are remembered.
    assert last(100 / 631) == 0.0
    assert last(100 / 599) == pytest.approx(0.1)


def test_a_total_that_grows_is_counted_until_the_window_is_over():
    found, _ = looks("increase", [7, 7, 9, 9, 9, 10, *[10] * 20], window=50.0)
    assert found == [0, 0, 2, 2, 2, *[3] * 7, *[1] * 3, *[0] * 11]


def test_a_total_that_begins_again_has_grown_by_what_it_says():
    assert looks("increase", [7, 2, 2, 3])[0] == [0, 2, 2, 3]


def test_the_first_value_is_no_change_and_a_flag_that_is_true_at_first_is_an_episode():
    assert looks("changes", ["a", "a", None, "a", "b", "a"])[0] == [0, 0, 0, 0, 1, 2]
    assert looks("episodes", [True, True, False, None, True, True])[0] == [1, 1, 1, 1, 2, 2]


def test_what_turned_or_was_lost_was_otherwise_before():
    assert looks("turned", [True, True])[0] == [False, False]
    assert looks("turned", [True, False, True, None, True])[0] == [False, False, True, None, True]
    assert looks("lost", [False, None, True, False])[0] == [False, None, False, True]


def test_a_straight_line_comes_to_its_end_when_it_does():
    found, _ = looks("seconds_to_limit", [10000 - number * 50 for number in range(131)], window=600.0)
    assert found[:95] == [None] * 95
    assert found[-1] == pytest.approx((10000 - 130 * 50) / 10, rel=1e-9)


@pytest.mark.parametrize("series", [[500] * 200, list(range(500, 700)), [900] * 100 + [300] * 100])
def test_what_does_not_shrink_for_most_of_the_time_has_no_end(series):
    assert looks("seconds_to_limit", series)[0][-1] == inf


def test_what_is_cleaned_up_as_fast_as_it_grows_has_an_end_far_away():
    saw = [100_000 - 100 * (number % 60) for number in range(400)]
    soon = [left for left in looks("seconds_to_limit", saw)[0] if left is not None and left < 100_000 / 20 * 0.9]
    assert not soon


@given(st.sampled_from(sorted(VALUES)), st.data())
def test_what_is_remembered_is_bounded_and_comes_back_from_json_as_it_was(name, data):
    series = data.draw(st.lists(st.none() | VALUES[name], min_size=1, max_size=60)) * 20
    _, memory = looks(name, series, window=1000.0, step=2.0)
    text = json.dumps(memory, allow_nan=False)
    assert len(text) < 6000
    assert OPERATORS[name].remembers(memory)
    assert tuples(json.loads(text)) == memory


@given(st.sampled_from(["changes", "episodes", "turned", "lost"]), st.lists(st.none() | FLAGS, min_size=1, max_size=99))
def test_what_is_remembered_of_flags_is_bounded_too(name, series):
    _, memory = looks(name, series * 10, window=1000.0, step=2.0)
    assert len(json.dumps(memory)) < 4000
    assert OPERATORS[name].remembers(tuples(json.loads(json.dumps(memory))))


def tuples(value):
    return tuple(tuples(each) for each in value) if isinstance(value, list) else value


@pytest.mark.parametrize(
    "memory", [5, "x", (), (1.0,), (1.0, 5), (1.0, ((1.0,),)), (1.0, (("a", 2.0),)), ("a", ()), (True, ())]
)
def test_what_can_not_have_been_remembered_is_told_apart(memory):
    assert not OPERATORS["increase"].remembers(memory)
    assert not OPERATORS["turned"].remembers(memory)
