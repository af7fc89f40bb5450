import json
import time
from datetime import UTC, datetime

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthctl.errors import UsageError
from healthctl.when import Moment, duration, iso, local, ordered, parse, when

NOW = 1_795_323_600.0
"""2026-11-22 05:00:00 in UTC, 06:00 in Berlin."""


@pytest.fixture
def zone(monkeypatch):
    """Return a function that makes a time zone the local one."""

    def local_one(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield local_one
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def berlin(zone):
    zone("CET-1CEST,M3.5.0,M10.5.0/3")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("-2h", 7200), ("-30min", 1800), ("-30m", 1800), ("-1d12h", 129600), ("-1w", 604800), ("-1.5h", 5400),
     ("-1d 12h", 129600), ("-90s", 90), ("now", 0), (" now ", 0)],
)  # fmt: skip
def test_how_long_ago(text, seconds):
    assert parse(text, NOW) == NOW - seconds


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("text", "expected"),
    [("03:00", "2026-11-22 03:00:00"), ("06:00", "2026-11-22 06:00:00"), ("3:00", "2026-11-22 03:00:00"),
     ("03:00:15", "2026-11-22 03:00:15"), ("06:01", "2026-11-21 06:01:00"), ("today", "2026-11-22 00:00:00"),
     ("yesterday", "2026-11-21 00:00:00"), ("2026-11-20", "2026-11-20 00:00:00"),
     ("2026-11-20 03:00", "2026-11-20 03:00:00"), ("2026-11-20T03:00:15", "2026-11-20 03:00:15"),
     ("2026-07-01 03:00", "2026-07-01 03:00:00")],
)  # fmt: skip
def test_without_a_zone_it_is_local_time(text, expected):
    assert local(parse(text, NOW)) == expected


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("text", "expected"),
    [("2026-11-22T03:00Z", "2026-11-22T03:00:00.000Z"), ("2026-11-22 03:00+02:00", "2026-11-22T01:00:00.000Z"),
     ("@1700000000", "2023-11-14T22:13:20.000Z"), ("@1700000000.5", "2023-11-14T22:13:20.500Z"),
     ("2026-11-22", "2026-11-21T23:00:00.000Z")],
)  # fmt: skip
def test_a_zone_that_is_written_counts(text, expected):
    assert iso(parse(text, NOW)) == expected


@pytest.mark.usefixtures("berlin")
def test_a_time_that_clocks_show_twice_is_the_latest_that_was():
    # On 2026-10-25 at 03:00 summer time ended: 02:30 was at 00:30 and at 01:30 UTC.
    first, second = (datetime(2026, 10, 25, hour, 30, tzinfo=UTC).timestamp() for hour in (0, 1))
    assert parse("02:30", first + 60) == first
    assert parse("02:30", second) == second
    assert parse("02:30", first - 60) == first - 86400


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize("text", ["2026-03-29", "2026-10-25"])
def test_days_of_other_lengths_begin_at_midnight(text):
    noon = parse(f"{text} 12:00", NOW)
    assert local(parse("today", noon)) == f"{text} 00:00:00"
    next_noon = noon + 86400
    assert local(parse("yesterday", next_noon)) == f"{text} 00:00:00"


@pytest.mark.parametrize("text", ["1960-01-01", "-100w", "@-5", "1970-01-01 00:00+09:00"])
def test_what_is_before_1970_is_the_beginning(text):
    assert parse(text, 3600.0) == 0.0


@pytest.mark.parametrize(
    "text", ["", "foo", "-", "-2", "-2y", "2h", "25:00", "12:60", "12:00:61", "2026-13-01", "@", "@x", "@nan", "@inf",
             "9999-12-31", "@1e300", "-1h-2h", "03:00 yesterday", "0001-01-01T00:00:00+23:59x"],
)  # fmt: skip
def test_what_is_no_time_brings_examples(text):
    with pytest.raises(click.BadParameter) as caught:
        when(text)
    assert f"'{text}' is no time; write -2h, " in caught.value.message


@given(st.text(max_size=20))
def test_any_text_is_a_time_or_none(text):
    try:
        moment = when(text).at()
    except click.BadParameter:
        return
    # What is one, healthd and Python's calendar can take.
    assert json.loads(f'"{iso(moment)}"')
    assert local(moment)


@given(st.floats(0, 4e9))
def test_what_is_written_is_read_again(moment):
    written = iso(moment)
    assert abs(parse(written, NOW) - moment) < 0.001
    assert written.endswith("Z")


def test_the_end_is_after_the_beginning(zone):
    zone("UTC")
    ordered(Moment(f"@{NOW - 1}"), Moment(f"@{NOW}"))
    ordered(Moment("@0"), None)
    with pytest.raises(UsageError, match="--since 2026-11-22 05:00:00 is not before --until 2026-11-22 05:00:00"):
        ordered(Moment(f"@{NOW}"), Moment(f"@{NOW}"))
    with pytest.raises(UsageError, match="is not before now"):
        ordered(Moment(f"@{time.time() + 3600}"), None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5min", 300), ("1h30min", 5400), ("1d", 86400), ("0.5s", 0.5), ("1h 30m", 5400), ("0s", 0)],
)
def test_a_duration_is_written_like_a_time_ago(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "-5s", "5y", "1e9s", "101w1y", "99999w", "9" * 400 + "d", "inf"])
def test_what_is_no_duration_brings_examples(text):
    with pytest.raises(click.BadParameter, match="is no duration; write 90s, 5min"):
        duration(text)
