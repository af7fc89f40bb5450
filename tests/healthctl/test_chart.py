import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from time_zone import zone
from wcwidth import wcswidth

from healthctl.render import axis
from healthctl.render.axis import Window
from healthctl.render.chart import charts, most, slots
from healthctl.render.scale import measure, scale
from healthctl.render.style import Style
from healthctl.render.units import span
from healthctl.series import Point, Series, resolution

NOON = 1_795_348_800
"""2026-11-22 12:00:00 UTC."""

PLAIN = Style(unicode=False)
UNITS = [
    "percent",
    "bytes",
    "bytes_per_second",
    "celsius",
    "hertz",
    "per_second",
    "seconds",
    "tasks",
    "rpm",
    "volts",
    "amperes",
    "watts",
    "watt_hours",
    "pascals",
    "dbm",
    "count",
    "",
    "new",
]


@pytest.fixture(autouse=True)
def utc():
    with zone("UTC"):
        yield


def flat(values, step=10.0, since=NOON):
    """Return points without a band, one for each value; `None` is a gap."""
    return [Point(since + index * step, value, value, value) for index, value in enumerate(values) if value is not None]


def window(seconds, since=NOON):
    return Window(since, since + seconds, since + seconds)


def drawn(points, *, seconds, width, style=PLAIN, unit="percent"):
    return charts([Series("cpu.busy", unit, "Busy.", points)], window(seconds), width, style)


# Nine rows from 0 % to 80 % are 0 to 8 in ASCII and 0 to 35 in dots: a row is 10 %, a dot 80 % / 35.


def test_the_mean_is_a_line_and_nothing_is_drawn_where_nothing_is_known():
    values = [0, 10, 20, 30, None, None, 64, 80]
    assert drawn(flat(values), seconds=80, width=16) == [
        "cpu.busy  Busy.",
        "  80 % +       *",
        "       |",
        "  60 % +      *",
        "       |",
        "  40 % +",
        "       |   *",
        "  20 % +  *",
        "       | *",
        "   0 % +*",
        "       ++-------",
        "        12:00",
        "min 0.0 %",
        "mean 34.0 %",
        "max 80.0 %",
        "now 80.0 %",
        "each point 10 s",
    ]


def test_the_band_reaches_from_the_least_to_the_greatest_value():
    points = [Point(NOON + index * 10, 20, 40, 80) for index in range(4)]
    assert drawn(points, seconds=40, width=12)[1:10] == [
        "  80 % +::::",
        "       |::::",
        "  60 % +::::",
        "       |::::",
        "  40 % +****",
        "       |::::",
        "  20 % +::::",
        "       |",
        "   0 % +",
    ]


def test_a_band_of_dots_is_half_full_so_that_the_mean_is_seen_in_it():
    points = [Point(NOON + index * 10, 20, 40, 80) for index in range(4)]
    # Dots 9 to 35; the mean is dot 18, the third of its row.
    assert drawn(points, seconds=40, width=10, style=Style())[1:10] == [
        "  80 % ┤⡪⡪",
        "       │⡪⡪",
        "  60 % ┤⡪⡪",
        "       │⡪⡪",
        "  40 % ┤⡺⡺",
        "       │⡪⡪",
        "  20 % ┤⠪⠪",
        "       │",
        "   0 % ┤",
    ]


def test_dots_join_the_means():
    assert drawn(flat([0, 80, 80, 0]), seconds=40, width=10, style=Style())[1:10] == [
        "  80 % ┤⢸⢱",
        "       │⢸⢸",
        "  60 % ┤⢸⢸",
        "       │⢸⢸",
        "  40 % ┤⢸⢸",
        "       │⢸⢸",
        "  20 % ┤⢸⢸",
        "       │⢸⢸",
        "   0 % ┤⡸⢸",
    ]


def test_dots_join_nothing_over_a_gap():
    rows = drawn(flat([0, 0, None, 80]), seconds=40, width=10, style=Style())[1:10]
    assert [row[8:] for row in rows] == [" ⠈", "", "", "", "", "", "", "", "⣀"]


def test_the_mean_is_bright_and_the_band_is_dim():
    points = [Point(NOON, 40, 40, 80), Point(NOON + 10, 40, 40, 80)]
    rows = drawn(points, seconds=20, width=10, style=Style(colour=True, unicode=False))[1:10]
    assert rows[0].endswith("\x1b[2m::\x1b[0m")
    assert rows[4].endswith("\x1b[1m**\x1b[0m")


def test_charts_share_the_time_axis_and_become_lower_when_they_are_many():
    def of(count):
        shown = [Series(f"load.load{n}", "tasks" if n else "bytes_per_second", "", flat([1, 2])) for n in range(count)]
        return charts(shown, window(600), 60, Style())

    for count, rows in ((1, 9), (2, 9), (3, 7), (4, 7), (5, 5), (40, 5)):
        lines = of(count)
        assert sum(line[11:12] in ("│", "┤") for line in lines) == count * rows
        assert sum(line == "" for line in lines) == count - 1
        assert len({line for line in lines if "└" in line}) == 1


def test_a_metric_without_data_says_so_beside_one_that_has_some():
    shown = [Series("a.b", "percent", "", []), Series("c.d", "percent", "", flat([1]))]
    assert charts(shown, window(600), 60, PLAIN)[:4] == ["a.b", "no data in this time", "", "c.d"]


def test_what_was_last_is_not_called_now():
    points = flat([1, 2, 3])
    assert "now 3.0 %" in drawn(points, seconds=60, width=80)[-1]
    later = charts([Series("a.b", "percent", "", points)], Window(NOON, NOON + 60, NOON + 600), 80, PLAIN)
    assert "last 3.0 %" in later[-1]
    stale = charts([Series("a.b", "percent", "", points)], Window(NOON, NOON + 600, NOON + 600), 80, PLAIN)
    assert "last 3.0 %" in stale[-1]


def test_names_from_the_bus_move_no_cursor():
    lines = charts([Series("a.b@\x1b[2J", "percent", "x\r", flat([1]))], window(60), 80, Style())
    assert lines[0] == "a.b@\\x1b[2J  x\\r"


def labels(unit, low, high, intervals=4):
    return [tick.label for tick in scale(measure(unit, "°C"), low, high, intervals).ticks]


@pytest.mark.parametrize(
    ("unit", "low", "high", "expected"),
    [("percent", 0, 100, ["0 %", "50 %", "100 %"]), ("percent", 3, 31, ["0 %", "10 %", "20 %", "30 %", "40 %"]),
     ("percent", 0.1, 0.3, ["0.0 %", "0.5 %", "1.0 %"]), ("percent", 0, 0, ["0.0 %", "0.5 %", "1.0 %"]),
     ("percent", 98, 99, ["0 %", "50 %", "100 %"]),
     ("bytes_per_second", 0, 900 * 1024, ["0.0 MiB/s", "0.5 MiB/s", "1.0 MiB/s"]),
     ("bytes_per_second", 0, 0, ["0.0 KiB/s", "0.5 KiB/s", "1.0 KiB/s"]),
     ("bytes", 0, 3 * 2**30, ["0 GiB", "1 GiB", "2 GiB", "3 GiB"]),
     ("bytes", 6.1 * 2**30, 6.3 * 2**30, ["6.10 GiB", "6.15 GiB", "6.20 GiB", "6.25 GiB", "6.30 GiB"]),
     ("bytes", 2**34, 2**34, ["15.8 GiB", "15.9 GiB", "16.0 GiB", "16.1 GiB", "16.2 GiB"]),
     ("celsius", 44.5, 52, ["44 °C", "46 °C", "48 °C", "50 °C", "52 °C"]),
     ("celsius", -5, 12, ["-5 °C", "0 °C", "5 °C", "10 °C", "15 °C"]),
     ("celsius", 45, 45, ["44.0 °C", "44.5 °C", "45.0 °C", "45.5 °C", "46.0 °C"]),
     ("celsius", 20, 80, ["0 °C", "20 °C", "40 °C", "60 °C", "80 °C"]),
     ("hertz", 6e8, 1.5e9, ["0.0 GHz", "0.5 GHz", "1.0 GHz", "1.5 GHz"]),
     ("tasks", 0, 2.9, ["0", "1", "2", "3"]), ("count", 0, 250_000, ["0 k", "100 k", "200 k", "300 k"]),
     ("seconds", -0.004, 0.002, ["-0.004 s", "-0.002 s", "0.000 s", "0.002 s"]),
     ("tasks", -9, -7, ["-10", "-5", "0"])],
)  # fmt: skip
def test_an_axis_has_round_numbers_and_zero_where_that_belongs_there(unit, low, high, expected):
    assert labels(unit, low, high) == expected


number = st.floats(allow_nan=False, allow_infinity=False)


@given(st.sampled_from(UNITS), number, number, st.integers(2, 6))
def test_an_axis_holds_its_values_between_few_numbers(unit, one, other, intervals):
    low, high = (min(max(value, -1e24), 1e24) for value in sorted((one, other)))
    found = scale(measure(unit, "C"), low, high, intervals)
    margin = 1e-6 * (found.high - found.low)
    assert found.low - margin <= low <= high <= found.high + margin
    assert 2 <= len(found.ticks) <= intervals + 1
    assert (found.ticks[0].place, found.ticks[-1].place) == (0, 1)
    written = [tick.label for tick in found.ticks]
    assert len(set(written)) == len(written)


def marks(since, seconds, columns=60, now=None):
    return [label for _, label in axis.ticks(Window(since, since + seconds, now or since + seconds), columns)]


@pytest.mark.parametrize(
    ("since", "seconds", "expected"),
    [(NOON, 3600, ["12:00", "12:10", "12:20", "12:30", "12:40", "12:50"]),
     (NOON + 1, 3600, ["12:10", "12:20", "12:30", "12:40", "12:50", "13:00"]),
     (NOON, 60, ["12:00:00", "12:00:15", "12:00:30", "12:00:45"]),
     (NOON, 86400, ["Nov 22 12:00", "18:00", "Nov 23", "06:00"]),
     (NOON - 3 * 86400, 3 * 86400, ["Nov 19 12:00", "Nov 20", "12:00", "Nov 21", "12:00", "Nov 22"]),
     (NOON, 7 * 86400, ["Nov 23", "Nov 24", "Nov 25", "Nov 26", "Nov 27", "Nov 28", "Nov 29"])],
)  # fmt: skip
def test_times_are_round_and_say_the_day_where_it_is_another(since, seconds, expected):
    assert marks(since, seconds) == expected


def test_times_are_local_and_stay_round_when_summer_time_ends(monkeypatch):
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    # 2026-10-24 22:00 UTC is midnight in Berlin; that day has 25 hours.
    midnight = 1_792_879_200
    assert marks(midnight, 25 * 3600, columns=40) == ["Oct 25", "06:00", "12:00", "18:00"]
    assert marks(midnight, 49 * 3600, columns=80) == [
        "Oct 25", "06:00", "12:00", "18:00", "Oct 26", "06:00", "12:00", "18:00",
    ]  # fmt: skip


# Before 2038: a 32-bit machine may know no later time.
@given(st.floats(0, 1e9), st.floats(0.001, 1e9), st.integers(1, 300))
def test_any_time_has_few_marks_in_their_order(since, seconds, columns):
    found = axis.ticks(Window(since, since + seconds, since), columns)
    assert all(0 <= column < columns for column, _ in found)
    assert found == sorted(found, key=lambda mark: mark[0])
    assert len(found) <= columns / 8 + 2


def shown(points, seconds, count):
    """Return the value of each slot."""
    return [found and found.mean for found in slots(points, window(seconds), count)]


def test_slots_show_what_lies_in_them():
    points = flat([1, 2, 3, 4])
    assert shown(points, 40, 4) == [1, 2, 3, 4]
    assert shown(points, 40, 8) == [1, 1, 2, 2, 3, 3, 4, 4]
    assert shown(points, 40, 2) == [1.5, 3.5]
    assert shown(points, 80, 4) == [1.5, 3.5, None, None]
    assert shown([], 80, 4) == [None] * 4


def test_a_slot_of_several_points_has_the_band_of_all():
    points = [Point(NOON, 1, 2, 3), Point(NOON + 10, 0, 4, 5), Point(NOON + 20, 7, 8, 9), Point(NOON + 30, 7, 8, 9)]
    assert slots(points, window(40), 2) == [Point(NOON, 0, 3, 5), Point(NOON + 20, 7, 8, 9)]


def test_a_gap_stays_empty_and_uneven_steps_are_none():
    gap = [point for point in flat(range(10)) if point.mean not in (4, 5)]
    assert shown(gap, 100, 10) == [0, 1, 2, 3, None, None, 6, 7, 8, 9]
    uneven = [Point(NOON + at, 1, 1, 1) for at in (0, 10.4, 19.8, 30.3, 40.1)]
    assert shown(uneven, 50, 50) == [1] * 50


def test_older_points_may_be_longer_ones():
    times = [0, 60, 120, 180, 185, 190, 195, 200, 205]
    mixed = [Point(NOON + at, at, at, at) for at in times]
    minutes = [0] * 12 + [60] * 12 + [120] * 12
    assert shown(mixed, 210, 42) == [*minutes, 180, 185, 190, 195, 200, 205]
    # A point between two gaps is as long as those before it.
    alone = [Point(NOON + at, at, at, at) for at in (0, 5, 10, 60, 100, 105)]
    assert [slot for slot, value in enumerate(shown(alone, 110, 22)) if value is not None] == [0, 1, 2, 12, 20, 21]


def test_one_point_alone_is_where_it_was():
    assert shown(flat([7], since=NOON + 25), 40, 4) == [None, None, 7, None]


def test_a_point_that_began_before_or_comes_from_a_clock_ahead_is_at_the_edge():
    assert shown(flat([7, 8], since=NOON - 5), 10, 2) == [7, 8]
    assert shown([Point(NOON + 41, 7, 7, 7)], 40, 4) == [None, None, None, 7]


def test_the_resolution_is_that_of_most_points():
    assert resolution(flat([1, 2, None, 4, 5])) == 10
    assert resolution(flat([1])) == resolution([]) == 0


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.25, "0.25 s"), (5, "5 s"), (5.0003, "5 s"), (9.97, "10 s"), (60, "1 min"), (150, "2 min 30 s"), (3600, "1 h"),
     (11100, "3 h 5 min"), (86400, "1 day"), (90000, "1 day 1 h"), (3630, "1 h"), (0, "0 s")],
)  # fmt: skip
def test_a_length_of_time_leaves_out_what_is_zero(seconds, expected):
    assert span(seconds) == expected


@pytest.mark.parametrize("width", [40, 80, 200, 300])
def test_a_chart_has_a_slot_for_each_point_that_is_asked_for(width):
    count = most(["percent"], width)
    points = flat([value % 50 for value in range(count)])
    lines = drawn(points, seconds=count * 10, width=width, style=Style())
    assert max(map(wcswidth, lines)) == width
    across = wcswidth(next(line for line in lines if "└" in line)) - 8
    assert across * 2 == count
    # None is merged with another.
    assert slots(points, window(count * 10), across * 2) == points


values = st.one_of(number, st.just(0.0), st.floats(-100, 100), st.integers(0, 2**64).map(float))


@st.composite
def series(draw):
    """Return points in their order, at any times around the window, with any values."""
    times = sorted(draw(st.lists(st.floats(NOON - 100, NOON + 800), min_size=1, max_size=30, unique=True)))
    return [Point(moment, *sorted(draw(st.tuples(values, values, values)))) for moment in times]


@given(series(), st.sampled_from(UNITS), st.integers(1, 300), st.booleans(), st.booleans())
def test_every_series_is_drawn_and_no_line_is_wider_than_the_width(points, unit, width, colour, unicode):
    style = Style(unicode=unicode)
    lines = drawn(points, seconds=600, width=width, unit=unit, style=style)
    assert max(map(wcswidth, lines)) <= width
    assert unicode or all(line.isascii() for line in lines)
    if width >= 40:
        assert any(char == "*" or "\u2800" < char <= "\u28ff" for line in lines[1:10] for char in line)
    coloured = drawn(points, seconds=600, width=width, unit=unit, style=style._replace(colour=colour))
    assert len(coloured) == len(lines)
