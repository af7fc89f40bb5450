from copy import deepcopy
from math import isnan, nan

import pytest

from healthctl.series import Point
from healthctl.strips import LONGEST, Strips

BOOTED = 1_000_000.0


def put(strips, since_boot, **values):
    strips.put(since_boot, values)


def known(strips, address, count):
    """Return the last cells, unknown as None."""
    return [None if isnan(value) else value for value in strips.last([address], count)]


def points(*rows):
    return [Point(BOOTED + since_boot, mean, mean, mean) for since_boot, mean in rows]


def test_each_sample_is_a_cell_and_the_last_one_is_the_end():
    strips = Strips(1.0, 1.0)
    for second in (10, 11, 12):
        put(strips, second + 0.002, a=second * 1.0)
    assert known(strips, "a", 5) == [None, None, 10.0, 11.0, 12.0]
    assert known(strips, "b", 2) == [None, None]


def test_a_sample_within_the_same_cell_is_in_its_place():
    strips = Strips(5.0, 5.0)
    put(strips, 100.0, a=1.0)
    put(strips, 101.0, a=2.0)
    assert known(strips, "a", 2) == [None, 2.0]


def test_what_is_a_little_late_leaves_no_hole_and_what_is_very_late_does():
    strips = Strips(1.0, 1.0)
    put(strips, 10, a=1.0)
    put(strips, 13, a=2.0)
    assert known(strips, "a", 4) == [1.0, 1.0, 1.0, 2.0]
    put(strips, 20, a=3.0)
    assert known(strips, "a", 8) == [2.0, *[None] * 6, 3.0]


def test_what_is_gone_is_unknown_from_then_on():
    strips = Strips(1.0, 1.0)
    put(strips, 10, a=1.0, b=1.0)
    put(strips, 11, a=2.0)
    assert known(strips, "b", 3) == [None, 1.0, None]


def test_no_more_cells_are_kept_than_any_screen_has():
    strips = Strips(1.0, 1.0)
    for second in range(2 * LONGEST):
        put(strips, second, a=float(second))
    assert known(strips, "a", LONGEST + 2) == [None, None, *map(float, range(LONGEST, 2 * LONGEST))][-LONGEST - 2 :]


def test_what_came_and_went_is_forgotten_once_no_screen_shows_it():
    strips = Strips(1.0, 1.0)
    for second in range(2 * LONGEST):
        strips.put(second, {"stays": 1.0, f"veth{second}": 1.0})
        strips.fill(f"veth{second}", [], BOOTED)
        # Never known at all.
        strips.fill(f"new{second}", [], BOOTED)
    assert known(strips, f"veth{LONGEST}", LONGEST) == [1.0, *[None] * (LONGEST - 1)]
    # What is forgotten can be asked for again.
    gone, kept = ([f"veth{second}" for second in part] for part in (range(LONGEST), range(LONGEST, 2 * LONGEST)))
    assert strips.missing([*gone, *kept]) == gone
    assert len(strips._strips) <= 2 * LONGEST + 2


def test_what_is_unknown_now_has_its_history_and_is_not_asked_for_again_and_again():
    strips = Strips(1.0, 1.0)
    put(strips, 100, a=1.0)
    strips.fill("b", points((98, 2.0), (99, 3.0)), BOOTED)
    put(strips, 101, a=1.0)
    assert known(strips, "b", 4) == [2.0, 3.0, 3.0, None]
    assert strips.missing(["b"]) == []


def test_history_fills_what_was_before_and_leaves_what_is_known():
    strips = Strips(1.0, 1.0)
    put(strips, 103, a=7.0)
    strips.fill("a", points((100, 1.0), (101, 2.0), (102, 3.0), (103, 4.0)), BOOTED)
    assert known(strips, "a", 5) == [None, 1.0, 2.0, 3.0, 7.0]


def test_a_point_fills_all_cells_that_it_stands_for():
    strips = Strips(1.0, 5.0)
    put(strips, 112, a=9.0)
    strips.fill("a", points((92, 1.0), (97, 2.0)), BOOTED)
    assert known(strips, "a", 22) == [None, *[1.0] * 5, *[2.0] * 5, *[None] * 10, 9.0]


def test_what_is_not_in_a_history_yet_is_as_its_newest_point():
    # It has what is over: the next point begins when this one does not count any more, and is not told before it ends.
    strips = Strips(1.0, 5.0)
    put(strips, 112, a=9.0)
    strips.fill("a", points((97, 1.0), (102, 2.0)), BOOTED)
    assert known(strips, "a", 16) == [*[1.0] * 5, *[2.0] * 10, 9.0]


def test_what_comes_oftener_than_healthd_samples_is_as_before_until_it_comes():
    strips = Strips(1.0, 5.0)
    put(strips, 100, a=1.0)
    strips.fill("a", points((94, 3.0)), BOOTED)
    put(strips, 105, a=2.0)
    assert known(strips, "a", 8) == [3.0, 3.0, *[1.0] * 5, 2.0]


def test_many_points_of_one_cell_are_no_fault():
    strips = Strips(10.0, 10.0)
    put(strips, 200, a=9.0)
    strips.fill("a", points(*((150 + second, 1.0) for second in range(50))), BOOTED)
    assert known(strips, "a", 6) == [1.0] * 5 + [9.0]


def test_a_gap_in_history_is_a_gap():
    strips = Strips(1.0, 1.0)
    put(strips, 110, a=9.0)
    strips.fill("a", points((100, 1.0), (101, 1.0), (102, 1.0), (108, 2.0), (109, 2.0)), BOOTED)
    assert known(strips, "a", 11) == [1.0, 1.0, 1.0, *[None] * 5, 2.0, 2.0, 9.0]


@pytest.mark.parametrize("rows", [[], [(5, 1.0)], [(10_000_000, 1.0)]])
def test_history_that_is_empty_or_of_another_time_changes_nothing(rows):
    strips = Strips(1.0, 1.0)
    put(strips, 100_000, a=1.0)
    strips.fill("a", points(*rows), BOOTED)
    assert known(strips, "a", 3) == [None, None, 1.0]


def test_history_is_missing_until_it_was_filled():
    strips = Strips(1.0, 1.0)
    put(strips, 10, a=1.0)
    assert strips.missing(["a", "b"]) == ["a", "b"]
    strips.fill("a", [], BOOTED)
    assert strips.missing(["a", "b"]) == ["b"]


def test_several_strips_are_their_sum_as_far_as_it_is_known():
    strips = Strips(1.0, 1.0)
    put(strips, 10, a=1.0)
    put(strips, 11, a=2.0, b=3.0)
    assert list(strips.last(["a", "b"], 2)) == [1.0, 5.0]
    assert all(map(isnan, strips.last(["a", "b"], 4)[:2]))


def test_a_clock_that_went_back_begins_anew():
    strips = Strips(1.0, 1.0)
    put(strips, 1000, a=1.0)
    strips.fill("a", [], BOOTED)
    put(strips, 5, a=2.0)
    assert known(strips, "a", 3) == [None, None, 2.0]
    assert strips.missing(["a"]) == ["a"]


def test_a_copy_stays_as_it_is():
    strips = Strips(1.0, 1.0)
    put(strips, 10, a=1.0)
    kept = deepcopy(strips)
    put(strips, 11, a=2.0)
    strips.fill("a", points((9, 3.0)), BOOTED)
    assert known(kept, "a", 2) == [None, 1.0]


def test_nothing_is_asked_of_no_columns():
    strips = Strips(1.0, 1.0)
    put(strips, 10, a=nan)
    assert list(strips.last(["a"], 0)) == []
    assert known(strips, "a", 1) == [None]


def test_the_mean_of_late_is_of_what_came_and_not_of_what_was_filled():
    strips = Strips(1.0, 1.0)
    put(strips, 100, a=4.0)
    strips.fill("a", points(*((second, 100.0) for second in range(70, 100))), BOOTED)
    assert strips.lately(["a"], 30) == 4.0
    put(strips, 101, a=8.0)
    assert strips.lately(["a"], 30) == 6.0
    assert strips.lately(["a"], 1) == 8.0
    assert strips.lately(["b"], 30) == -1.0
