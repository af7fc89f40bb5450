"""Thresholds are texts, and mean what they say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import FAMILIES, Machine, Tank

from healthd.health._scale import Scale
from healthd.health.threshold import Level, Names, parse
from healthd.metric import Unit
from healthd.model import Snapshot

NAMES = Names({family.name: family for family in FAMILIES}, Tank.family, Scale(Unit.PERCENT, float))
SIGNS = st.sampled_from([">", ">=", "<", "<=", "==", "!="])
SMALL = st.integers(0, 3)
BOUND = st.builds("{} {}".format, SIGNS, SMALL) | st.builds("spills {} {}".format, SIGNS, SMALL)
BOUNDS = st.builds(
    lambda bounds, word: f" {word} ".join(bounds),
    st.lists(BOUND, min_size=1, max_size=3),
    st.sampled_from(["and", "or"]),
)


def holds(text, percent, spills=None, spare=None):
    """Tell whether a threshold holds for a tank."""
    machine = Machine({}).set(Tank, percent=percent, spills=spills, spare_bytes=spare)
    snapshot = Snapshot(None, 0, "", 5.0, machine.entries, {})
    return parse(text, NAMES).holds(snapshot, machine.entries["tank"][""], percent)


def said(text, percent, spills):
    """Tell the same as Python understands it."""
    words = text.replace("spills", "S")
    parts = words.replace(" or ", " and ").split(" and ")
    found = [eval(part if part.startswith("S") else f"P {part}", {"P": percent, "S": spills}) for part in parts]
    return any(found) if " or " in words else all(found)


@given(BOUNDS, SMALL, SMALL)
def test_a_threshold_holds_where_python_says_so(text, percent, spills):
    assert holds(text, float(percent), spills) is said(text, percent, spills)


@given(BOUNDS, SMALL, SMALL)
def test_the_opposite_holds_exactly_where_it_does_not(text, percent, spills):
    machine = Machine({}).set(Tank, percent=float(percent), spills=spills)
    snapshot, entry = Snapshot(None, 0, "", 5.0, machine.entries, {}), machine.entries["tank"][""]
    threshold = parse(text, NAMES)
    found = [each.holds(snapshot, entry, float(percent)) for each in (threshold, threshold.opposite)]
    assert sorted(found) == [False, True]


@given(BOUND, BOUND)
def test_two_bounds_overlap_where_one_value_can_be_beyond_both(enter, clear):
    level = Level("warning", parse(enter, NAMES), parse(clear, NAMES), 0.0)
    values = [number / 2 for number in range(-4, 12)]
    if ("spills" in enter) == ("spills" in clear):
        assert level.overlaps is any(said(enter, value, value) and said(clear, value, value) for value in values)
    else:
        assert not level.overlaps, "nobody knows how two metrics go together"


@pytest.mark.parametrize(
    ("text", "known", "expected"),
    [
        ("> 90% and spare_bytes < 1GiB", (95.0, None), None),
        ("> 90% and spare_bytes < 1GiB", (85.0, None), False),
        ("> 90% or spare_bytes < 1GiB", (95.0, None), True),
        ("> 90% or spare_bytes < 1GiB", (85.0, None), None),
        ("> 90% or spare_bytes < 1GiB", (None, 5), True),
        ("> 90%", (None, 5), None),
    ],
)
def test_what_is_unknown_decides_only_where_the_rest_does_not(text, known, expected):
    assert holds(text, known[0], spare=known[1]) is expected


@pytest.mark.parametrize(
    ("text", "opposite"), [("> 90%", "<= 90%"), ("spills != 3", "spills == 3"), ("> 1 or < 0", "not (> 1 or < 0)")]
)
def test_the_opposite_can_be_read(text, opposite):
    assert parse(text, NAMES).opposite.text == opposite
