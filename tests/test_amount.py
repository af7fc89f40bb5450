"""Values as people read them."""

from math import inf, isnan, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd.amount import amount, span
from healthd.metric import Unit


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, Unit.PERCENT, "-"),
        (94.012, Unit.PERCENT, "94 %"),
        (94.16, Unit.PERCENT, "94.2 %"),
        (0.0, Unit.PERCENT, "0 %"),
        (-0.0001, Unit.NONE, "0"),
        (0.0352, Unit.NONE, "0.035"),
        (-40.25, Unit.CELSIUS, "-40.2 °C"),
        (3.0, Unit.COUNT, "3"),
        (1200.0, Unit.RPM, "1200 rpm"),
        (-12.034, Unit.VOLTS, "-12 V"),
        (8.83, Unit.WATTS, "8.83 W"),
        (34.94, Unit.WATT_HOURS, "34.9 Wh"),
        (1.82, Unit.AMPERES, "1.82 A"),
        (99347.0, Unit.PASCALS, "99347 Pa"),
        (-56.0, Unit.DBM, "-56 dBm"),
        (100.0, Unit.COUNT, "100"),
        (12345.6, Unit.PER_SECOND, "12346/s"),
        (999.0, Unit.BYTES, "999 B"),
        (1000.0, Unit.BYTES, "0.977 KiB"),
        (20 * 2.0**30, Unit.BYTES, "20 GiB"),
        (1.5 * 2.0**20, Unit.BYTES_PER_SECOND, "1.5 MiB/s"),
        (-2.0 * 2.0**40, Unit.BYTES, "-2 TiB"),
        (90000.0, Unit.SECONDS, "1 d 1 h"),
        (inf, Unit.SECONDS, "endless"),
    ],
)
def test_a_value_is_written_with_its_unit(value, unit, text):
    assert amount(value, unit) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.25 s"), (65.0, "1 min 5 s"), (-3600.0, "1 h"), (86401.0, "1 d"), (nan, "an unknown time")],
)
def test_a_time_is_written_by_its_two_largest_units(seconds, text):
    assert span(seconds) == text


@given(st.floats(), st.sampled_from(Unit))
def test_whatever_the_value_is_something_short_is_written(value, unit):
    text = amount(value, unit)
    assert text
    assert isnan(value) or abs(value) >= 1e9 or len(text) <= 20
