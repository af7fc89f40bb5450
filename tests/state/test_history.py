"""What every gauge did: rows that are closed, folded, bounded, asked for, written down and read back."""

import json
import math
import tracemalloc
from array import array
from collections import defaultdict
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd.clock import Instant
from healthd.model import SINGLE, Entry, Reading, Snapshot, Status, Unit, counter, family, gauge, state
from healthd.state.history import TIERS, History, Point, Row, Tier, coarser, fold, points_of, rows_data, rows_from

NAN = math.nan
# A whole quarter of an hour.
T = 1_767_254_400.0


@family("one")
class One(Reading):
    """A family of one instance."""

    share: float | None = gauge(Unit.PERCENT, "A share.")
    count: int | None = gauge(Unit.COUNT, "A number.")
    total: int | None = counter(Unit.BYTES, "A counter.")
    size: float | None = state("A fact.", Unit.BYTES)
    text: str | None = state("A text.")
    cores: tuple[float, ...] | None = gauge(Unit.PERCENT, "Shares per core.", live=True)


@family("thing", instances="thing")
class Thing(Reading):
    """One of several."""

    value: float | None = gauge(Unit.PERCENT, "A share.")


@family("fact")
class Fact(Reading):
    """A family without a gauge."""

    text: str | None = state("A text.")


def status(instance: str, *, available: bool = True) -> Status:
    return Status(instance=instance, available=available, problem="" if available else "failed", sampled_at_usec=None)


def one(share: float | None = 10.0, count: int | None = 1, *, available: bool = True) -> dict[str, Entry]:
    reading = One(share=share, count=count, total=7, size=8.0, text="x", cores=(1.0, 2.0))
    return {SINGLE: Entry(reading, status(SINGLE, available=available))}


def things(**values: float | None) -> dict[str, Entry]:
    return {name: Entry(Thing(value=value), status(name)) for name, value in values.items()}


def snapshot(time: float, **entries: dict[str, Entry]) -> Snapshot:
    return Snapshot(
        instant=Instant(time, time - T, 0.0), seq=1, boot_id="boot", interval=5.0, entries=entries, latest={}
    )


def take(history: History, *samples: tuple[float, float | None]) -> History:
    """Give a history the values of the thing `a`, each at its seconds after T."""
    for time, value in samples:
        history.take(snapshot(T + time, thing=things(a=value)))
    return history


def plain(rows: list[Row]) -> list[tuple]:
    """Return rows as tuples; unknown is None."""

    def values(found: array) -> list[float | None]:
        return [None if math.isnan(value) else float(f"{value:.7g}") for value in found]

    return [(row.time - T, *(values(found) for found in (row.low, row.mean, row.high))) for row in rows]


def row(time: float, *values: float, low=None, high=None, columns=("thing.value@a",)) -> Row:
    mean = array("f", values)
    return Row(T + time, columns, array("f", low) if low else mean, mean, array("f", high) if high else mean)


def points(history: History, since: float, until: float, address: str = "thing.value@a") -> list[tuple]:
    return [(point.time - T, *point[1:]) for point in history.points(address, T + since, T + until)]


# What a row holds.


def test_only_plain_gauges_have_a_history_in_the_order_of_names():
    history = History()
    history.take(
        snapshot(T, thing=things(b=2.0, a=1.0), fact={SINGLE: Entry(Fact(text=""), status(""))}, one=one(3.5, 4))
    )
    history.close()
    (found,) = history.rows(5)
    assert found.columns == ("one.share", "one.count", "thing.value@a", "thing.value@b")
    assert list(found.mean) == [3.5, 4.0, 1.0, 2.0]
    assert history.addresses() == set(found.columns)


def test_what_is_unknown_or_not_true_now_is_nan():
    history = History()
    history.take(snapshot(T, one=one(3.5, 4)))
    history.take(snapshot(T + 5, one=one(None, 4)))
    history.take(snapshot(T + 10, one=one(3.5, None)))
    history.take(snapshot(T + 15, one=one(3.5, 4, available=False)))
    history.close()
    means = [mean for _, _, mean, _ in plain(history.rows(5))]
    assert means == [[3.5, 4.0], [None, 4.0], [3.5, None], [None, None]]


def test_what_an_instance_has_never_told_of_has_no_series_until_it_does():
    history = History()
    history.take(snapshot(T, one=one(None, 4), thing=things(a=None, b=1.0)))
    history.take(snapshot(T + 5, one=one(3.5, None), thing=things(a=None, b=2.0)))
    history.close()
    assert [found.columns for found in history.rows(5)] == [
        ("one.count", "thing.value@b"),
        ("one.share", "one.count", "thing.value@b"),
    ]
    assert history.addresses() == {"one.share", "one.count", "thing.value@b"}
    assert points(history, 0, 10, "one.count") == [(0.0, 4.0, 4.0, 4.0)]
    with pytest.raises(KeyError):
        points(history, 0, 10, "thing.value@a")


@pytest.mark.parametrize("value", [NAN, math.inf, -math.inf, 1e39, -1e39, 10**400])
def test_what_is_no_number_of_32_bits_is_unknown(value):
    history = take(History(), (0, 5.0), (1, value))
    history.close()
    assert plain(history.rows(5)) == [(0.0, [5.0], [5.0], [5.0])]
    assert plain(history.rows(900)) == [(0.0, [5.0], [5.0], [5.0])]


def test_a_bucket_is_closed_by_a_sample_of_another():
    history = take(History(), (1, 10.0), (4.999, 20.0))
    assert history.rows(5) == []
    take(history, (5, 60.0))
    assert plain(history.rows(5)) == [(0.0, [10.0], [15.0], [20.0])]
    take(history, (12, 70.0))
    assert plain(history.rows(5)) == [(0.0, [10.0], [15.0], [20.0]), (5.0, [60.0], [60.0], [60.0])]


def test_a_row_of_one_sample_holds_its_values_once_and_rows_of_the_same_series_share_their_columns():
    history = take(History(), (0, 10.0), (5, 20.0), (10, 30.0), (11, 31.0), (15, 0.0))
    first, second, third = history.rows(5)
    assert first.low is first.mean is first.high
    assert second.low is second.mean is second.high
    assert third.low is not third.high
    assert first.columns is second.columns is third.columns


def test_rows_share_the_names_of_the_series_that_stay_while_others_come_and_go():
    history = History()
    for time, others in ((0, {}), (5, {"b": 2.0}), (10, {"c": 3.0}), (15, {})):
        history.take(snapshot(T + time, thing=things(a=1.0, **others)))
    stayed = [found.columns[0] for found in history.rows(5)]
    assert stayed == ["thing.value@a"] * 3
    assert all(name is stayed[0] for name in stayed)


def test_a_family_that_did_not_change_is_not_looked_at_again():
    class Watched(dict):
        looked = 0

        def __getitem__(self, key):
            Watched.looked += 1
            return super().__getitem__(key)

    entries = Watched(one())
    history = History()
    history.take(snapshot(T, one=entries))
    assert Watched.looked
    Watched.looked = 0
    history.take(snapshot(T + 5, one=entries, thing=things(a=1.0)))
    history.take(snapshot(T + 10, one=entries, thing=things(a=2.0)))
    assert Watched.looked == 0
    history.close()
    assert [mean for _, _, mean, _ in plain(history.rows(5))] == [[10.0, 1.0], [10.0, 1.0, 1.0], [10.0, 1.0, 2.0]]


def test_while_nothing_changes_rows_share_their_values():
    history, entries = History(), one()
    for time in range(0, 20, 5):
        history.take(snapshot(T + time, one=entries))
    first, second, third = history.rows(5)
    assert first.mean is second.mean is third.mean


def test_instances_and_families_come_and_go():
    history = History()
    history.take(snapshot(T, thing=things(a=1.0)))
    history.take(snapshot(T + 5, thing=things(a=1.0, b=2.0)))
    history.take(snapshot(T + 10, thing=things(b=3.0), one=one()))
    history.take(snapshot(T + 15, one=one()))
    history.take(snapshot(T + 20))
    history.close()
    assert [found.columns for found in history.rows(5)] == [
        ("thing.value@a",),
        ("thing.value@a", "thing.value@b"),
        ("one.share", "one.count", "thing.value@b"),
        ("one.share", "one.count"),
        (),
    ]
    (whole,) = history.rows(60)
    assert dict(zip(whole.columns, whole.mean, strict=True)) == {
        "thing.value@a": 1.0,
        "thing.value@b": 2.5,
        "one.share": 10.0,
        "one.count": 1.0,
    }


def test_an_instance_that_takes_the_place_of_another_is_another_series():
    history = History()
    history.take(snapshot(T, thing=things(a=1.0)))
    history.take(snapshot(T + 5, thing=things(b=2.0)))
    assert points(history, 0, 10) == [(0.0, 1.0, 1.0, 1.0)]
    assert points(history, 0, 10, "thing.value@b") == [(5.0, 2.0, 2.0, 2.0)]


def test_of_too_many_series_the_first_are_kept_and_the_others_counted():
    history = History(most=3)
    assert history.dropped_series == 0
    history.take(snapshot(T, thing=things(c=3.0, b=2.0, a=1.0), one=one()))
    assert history.dropped_series == 2
    history.take(snapshot(T + 5, thing=things(d=4.0), one=one()))
    assert history.dropped_series == 0
    history.take(snapshot(T + 10, thing=things(e=5.0), one=one()))
    history.close()
    assert history.rows(5)[0].columns == ("one.share", "one.count", "thing.value@a")
    # What came and went within a minute is not more either.
    assert history.rows(60)[0].columns == ("one.share", "one.count", "thing.value@a")
    assert len(history.rows(60)[0].low) == len(history.rows(60)[0].mean) == 3


# From tier to tier.


def test_a_minute_is_folded_from_its_rows_as_soon_as_it_is_over():
    history = take(History(), (0, 10.0), (1, 20.0), (5, 30.0), (55, 3.0))
    assert history.rows(60) == []
    take(history, (60, 50.0))
    # The means are 15, 30 and 3.
    assert plain(history.rows(60)) == [(0.0, [3.0], [16.0], [30.0])]
    assert history.rows(900) == []


def test_a_quarter_of_an_hour_is_folded_from_its_minutes():
    history = take(History(), (0, 10.0), (5, 30.0), (60, 40.0), (899, 90.0), (900, 1.0))
    assert plain(history.rows(60)) == [
        (0.0, [10.0], [20.0], [30.0]),
        (60.0, [40.0], [40.0], [40.0]),
        (840.0, [90.0], [90.0], [90.0]),
    ]
    assert plain(history.rows(900)) == [(0.0, [10.0], [50.0], [90.0])]


def test_unknown_is_left_out_of_what_is_folded_unless_all_is():
    history = take(History(), (0, None), (1, 20.0), (5, None), (10, 40.0), (60, None), (65, None), (120, 0.0))
    assert plain(history.rows(5))[:3] == [
        (0.0, [20.0], [20.0], [20.0]),
        (5.0, [None], [None], [None]),
        (10.0, [40.0], [40.0], [40.0]),
    ]
    assert plain(history.rows(60)) == [(0.0, [20.0], [30.0], [40.0]), (60.0, [None], [None], [None])]


def test_an_interval_longer_than_a_step_gives_fewer_rows():
    history = take(History(), *((time, float(time)) for time in range(0, 210, 30)))
    assert [found[0] for found in plain(history.rows(5))] == [0.0, 30.0, 60.0, 90.0, 120.0, 150.0]
    assert plain(history.rows(60)) == [
        (0.0, [0.0], [15.0], [30.0]),
        (60.0, [60.0], [75.0], [90.0]),
        (120.0, [120.0], [135.0], [150.0]),
    ]


def test_a_clock_that_steps_closes_what_is_open_and_rows_carry_their_times():
    history = take(
        History(), (3600, 1.0), (3605, 2.0), (5, 3.0), (10, 4.0), (86400 * 365, 5.0), (86400 * 365 + 60, 6.0)
    )
    assert [found[0] for found in plain(history.rows(5))] == [3600.0, 3605.0, 5.0, 10.0, 86400.0 * 365]
    assert plain(history.rows(60)) == [
        (3600.0, [1.0], [1.5], [2.0]),
        (0.0, [3.0], [3.5], [4.0]),
        (86400.0 * 365, [5.0], [5.0], [5.0]),
    ]
    assert plain(history.rows(900))[:2] == [(3600.0, [1.0], [1.5], [2.0]), (0.0, [3.0], [3.5], [4.0])]


def test_steps_of_fractions_are_exact():
    history = History((Tier(0.3, 30), Tier(0.9, 90)))
    take(history, *((index * 0.3, float(index)) for index in range(10)))
    assert [round(found[0], 3) for found in plain(history.rows(0.3))] == [round(index * 0.3, 3) for index in range(9)]
    assert [found[1:] for found in plain(history.rows(0.9))] == [
        ([0.0], [1.0], [2.0]),
        ([3.0], [4.0], [5.0]),
        ([6.0], [7.0], [8.0]),
    ]
    assert len(points(history, 0, 10)) == 10


def test_the_mean_of_very_many_samples_is_that_of_all():
    history = History((Tier(900, 9000),))
    take(history, *((float(time), 1.0 if time < 300 else 0.0) for time in range(900)))
    assert len(history._levels[0].open) <= 64
    history.close()
    assert plain(history.rows(900)) == [(0.0, [0.0], [0.3333333], [1.0])]


def test_the_mean_of_very_many_samples_leaves_out_what_is_unknown():
    history = History((Tier(900, 9000),))
    # A hundred known to be 1, then fifty known to be 0.
    take(history, *((float(time), 1.0 if time < 100 else None if time % 2 else 0.0) for time in range(200)))
    history.close()
    ((_, low, mean, high),) = plain(history.rows(900))
    assert (low, high) == ([0.0], [1.0])
    assert mean == pytest.approx([100 / 150], abs=0.03)


def test_very_many_samples_weigh_nothing_in_the_next_bucket():
    history = History((Tier(900, 9000),))
    take(
        history, *((float(time), 1.0) for time in range(900)), *((900.0 + time, float(time % 2)) for time in range(80))
    )
    history.close()
    assert plain(history.rows(900))[1] == (900.0, [0.0], [0.5], [1.0])


def test_closing_makes_rows_of_what_is_there_and_what_follows_is_merged_with_them():
    history = take(History(), (0, 10.0), (1, 20.0))
    history.close()
    history.close()
    for step in (5, 60, 900):
        assert plain(history.rows(step)) == [(0.0, [10.0], [15.0], [20.0])]
    take(history, (2, 25.0), (5, 0.0))
    assert plain(history.rows(5)) == [(0.0, [10.0], [20.0], [25.0])]


def test_nothing_taken_in_is_nothing_known():
    history = History()
    history.close()
    assert [history.rows(tier.step) for tier in history.tiers] == [[], [], []]
    assert history.addresses() == set()
    with pytest.raises(KeyError):
        history.points("thing.value@a", 0.0, T)
    with pytest.raises(KeyError):
        history.rows(7)


# Bounds.


def test_each_tier_holds_no_more_rows_than_it_keeps():
    history = History((Tier(5, 60), Tier(60, 601), Tier(900, 2700)))
    for index in range(3000):
        take(history, (5.0 * index, 1.0))
        assert len(history.rows(5)) <= 12
        assert len(history.rows(60)) <= 11
        assert len(history.rows(900)) <= 3
        assert all(len(level.open) <= 15 for level in history._levels)
    assert [len(history.rows(step)) for step in (5, 60, 900)] == [12, 11, 3]
    assert history.rows(5)[-1].time == T + 5 * 2998


@pytest.mark.parametrize("times", [(0.0,), (0.0, 5.0), (0.0, 60.0), (0.0, 60.0, 900.0, -1e9)])
def test_a_clock_that_stands_still_or_goes_in_circles_lets_nothing_grow(times):
    history = History((Tier(5, 60), Tier(60, 600), Tier(900, 2700)))
    for index in range(2000):
        take(history, (times[index % len(times)], float(index % 2)))
    assert all(len(level.open) <= 64 for level in history._levels)
    assert len(history.rows(5)) <= 12
    assert points(history, 0, 10)


@pytest.mark.parametrize("changing", [True, False])
def test_a_series_takes_what_the_module_says(changing):
    names = [f"i{number}" for number in range(100)]
    turns = [
        {"thing": things(**{name: float((index * 7 + turn) % 100) for index, name in enumerate(names)})}
        for turn in range(3 if changing else 1)
    ]
    # What fills each tier with rows of at least two samples, and the finest with rows of one.
    times = [*range(0, 518_400, 450), *range(518_400, 604_800, 30), *range(604_800, 608_410, 5)]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        history = History()
        for index, time in enumerate(times):
            history.take(snapshot(T + time, **turns[index % len(turns)]))
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert [len(history.rows(tier.step)) for tier in TIERS] == [720, 1440, 672]
    assert taken / len(names) < 38_000


# Points.


def test_points_are_rounded_to_what_32_bits_hold():
    history = take(History(), (0, 68.4), (5, 0.1), (10, 1234.567), (15, 8_123_456_789.0))
    assert [point[1:] for point in points(history, 0, 60)] == [
        (value,) * 3 for value in (68.4, 0.1, 1234.567, 8_123_457_000.0)
    ]


def test_points_hold_what_is_open_and_leave_out_what_is_unknown():
    history = take(History(), (0, 10.0), (5, None), (10, 20.0), (11, 40.0))
    assert points(history, 0, 60) == [(0.0, 10.0, 10.0, 10.0), (10.0, 20.0, 30.0, 40.0)]


def test_points_are_those_whose_bucket_overlaps_the_range():
    history = take(History(), *((time, float(time)) for time in range(0, 30, 5)))
    assert [point[0] for point in points(history, 7, 15)] == [5.0, 10.0, 15.0]
    assert [point[0] for point in points(history, 10, 14.9)] == [10.0]
    assert points(history, 100, 200) == []
    assert points(history, -200, -100) == []


def test_only_a_series_that_no_row_has_is_unknown():
    history = take(History(), (0, 1.0))
    assert points(history, 0, 10) == [(0.0, 1.0, 1.0, 1.0)]
    history.take(snapshot(T + 5, one=one()))
    history.take(snapshot(T + 10, one=one()))
    assert points(history, 0, 20) == [(0.0, 1.0, 1.0, 1.0)]
    assert points(history, 5, 20) == []
    for address in ("thing.value@b", "one.total", "one.text", "one.cores", "thing.value", ""):
        with pytest.raises(KeyError):
            history.points(address, T, T + 20)


def test_what_is_gone_from_every_tier_is_unknown_again():
    history = take(History((Tier(5, 10), Tier(10, 20))), (0, 1.0))
    for time in range(5, 40, 5):
        history.take(snapshot(T + time, one=one()))
    with pytest.raises(KeyError):
        history.points("thing.value@a", T, T + 20)


SHORT = (Tier(5, 60), Tier(60, 300), Tier(900, 2700))


def test_points_are_of_the_finest_tier_that_reaches_back():
    # The last sample is at 895: finest from 835, minutes from 540, no quarter of an hour yet.
    history = take(History(SHORT), *((float(time), float(time)) for time in range(0, 900, 5)))
    fine = points(history, 835, 900)
    assert [point[0] for point in fine] == [float(time) for time in range(835, 900, 5)]
    minutes = points(history, 834, 900)
    # The minute of 834 is that of 780; the last minute is still open.
    assert minutes == [(780.0, 780.0, 807.5, 835.0), (840.0, 840.0, 867.5, 895.0)]


def test_points_of_a_coarse_tier_end_with_what_finer_ones_know():
    history = take(History(SHORT), *((float(time), float(time)) for time in range(0, 1000, 5)))
    # Finest from 935 to 995, minutes from 660 to 900 and open from 960, one quarter of an hour.
    found = points(history, 0, 2000)
    # The minute of 900 has the mean 927.5; those of 960 … 995 are points of their own until it is over.
    beyond = [927.5, *range(960, 1000, 5)]
    assert found == [
        (0.0, 0.0, 447.5, 895.0),
        (900.0, 900.0, pytest.approx(sum(beyond) / len(beyond), rel=1e-6), 995.0),
    ]


def test_where_no_tier_reaches_back_it_is_the_one_that_reaches_furthest():
    history = take(History(SHORT), *((float(time), 1.0) for time in range(0, 2000, 5)))
    assert [point[0] for point in points(history, -5000, 2000)] == [0.0, 900.0, 1800.0]


def test_a_bucket_that_only_began_earlier_reaches_back_no_further():
    history = take(History(), *((float(time), 1.0) for time in range(20, 1000, 5)))
    assert len(history.rows(60)) == 16
    assert len(history.rows(900)) == 1
    for since in (-5000, 0, 20):
        assert [point[0] for point in points(history, since, 1000)][:2] == [20.0, 25.0]


def test_where_the_finer_tier_is_shorter_than_a_step_of_the_coarser_nothing_is_missing():
    history = take(History((Tier(5, 10), Tier(60, 3600))), *((float(time), float(time)) for time in range(0, 120, 5)))
    assert points(history, 0, 200) == [(0.0, 0.0, 27.5, 55.0), (60.0, 60.0, 87.5, 115.0)]


def test_after_a_step_back_points_are_sorted_and_those_of_one_time_are_one():
    history = take(History(), (10, 1.0), (15, 2.0), (0, 4.0), (10, 5.0), (16, 6.0))
    assert points(history, 0, 60) == [
        (0.0, 4.0, 4.0, 4.0),
        (10.0, 1.0, 3.0, 5.0),
        (15.0, 2.0, 4.0, 6.0),
    ]


def test_after_a_step_back_a_coarse_tier_still_knows_what_is_new():
    history = take(History(SHORT), *((float(time), 1.0) for time in range(0, 1900, 5)))
    take(history, (905, 7.0), (910, 7.0), (965, 9.0))
    assert max(point[3] for point in points(history, 0, 5000)) == 7.0
    take(history, (3000, 1.0))
    assert max(point[3] for point in points(history, 0, 5000)) == 9.0


def test_points_of_rows_that_come_from_elsewhere():
    rows = [row(0, 1.0), row(60, 3.0, low=[2.0], high=[5.0]), row(120, NAN), row(180, 4.0, columns=("x.y",))]
    assert points_of("thing.value@a", rows, 60) == [Point(T, 1.0, 1.0, 1.0), Point(T + 60, 2.0, 3.0, 5.0)]
    assert points_of("thing.value@a", rows, 900) == [Point(T, 1.0, 2.0, 5.0)]
    assert points_of("x.y", rows, 60) == [Point(T + 180, 4.0, 4.0, 4.0)]
    assert points_of("x.z", rows, 60) == []


# Restoring.


def test_older_rows_come_before_those_that_are_here_and_only_in_their_tier():
    history = take(History(), (600, 6.0), (660, 7.0))
    history.restore(60, [row(0, 1.0), row(60, 2.0), row(600, 3.0), row(660, 4.0), row(720, 5.0)])
    # The row of 600 was closed here; what is not older is left out.
    assert plain(history.rows(60)) == [
        (0.0, [1.0], [1.0], [1.0]),
        (60.0, [2.0], [2.0], [2.0]),
        (600.0, [6.0], [6.0], [6.0]),
    ]
    assert len(history.rows(5)) == 1
    assert history.rows(900) == []
    take(history, (900, 0.0))
    assert plain(history.rows(900)) == [(0.0, [6.0], [6.5], [7.0])]


def test_what_is_older_than_the_rows_but_not_than_the_open_bucket_after_a_step_back_is_left_out():
    history = take(History(), (600, 6.0), (660, 7.0), (65, 8.0), (70, 8.5))
    history.restore(5, [row(0, 1.0), row(70, 2.0), row(75, 3.0)])
    assert [found[0] for found in plain(history.rows(5))] == [0.0, 600.0, 660.0, 65.0]
    history = take(History(), (600, 6.0), (605, 7.0), (70, 8.5))
    history.restore(5, [row(65, 1.0), row(70, 2.0)])
    assert [found[0] for found in plain(history.rows(5))] == [65.0, 600.0, 605.0]


def test_a_tier_takes_back_no_more_rows_than_it_keeps_and_these_are_the_newest():
    history = take(History(SHORT), (600, 6.0), (660, 7.0))
    history.restore(60, [row(60.0 * index, float(index)) for index in range(10)])
    assert [found[0] for found in plain(history.rows(60))] == [360.0, 420.0, 480.0, 540.0, 600.0]


@pytest.mark.parametrize("restored_after", [0, 1, 2])
def test_a_bucket_that_was_open_at_a_restart_comes_out_once(restored_after):
    history = History()
    samples = [(450, 40.0), (510, 40.0)]
    take(history, *samples[:restored_after])
    # One that is later than what is open can't be true.
    future = [row(900, 99.0)] if restored_after == 2 else []
    history.restore(900, [row(-900, 1.0), row(0, 20.0, low=[10.0], high=[30.0]), *future])
    take(history, *samples[restored_after:])
    # Both parts are known before it is over.
    (before, now) = points(history, -900, 900)
    assert before == (-900.0, 1.0, 1.0, 1.0)
    assert (now[0], now[1], now[3]) == (0.0, 10.0, 40.0)
    take(history, (900, 50.0))
    assert plain(history.rows(900)) == [(-900.0, [1.0], [1.0], [1.0]), (0.0, [10.0], [30.0], [40.0])]
    assert points(history, -900, 900)[-1] == (900.0, 50.0, 50.0, 50.0)


def test_the_newest_sample_is_known_though_its_bucket_has_a_restored_part():
    history = History()
    history.restore(900, [row(-900, 1.0), row(0, 20.0)])
    take(history, (450, 40.0))
    assert points(history, -900, 900) == [(-900.0, 1.0, 1.0, 1.0), (0.0, 20.0, 30.0, 40.0)]


def test_a_bucket_is_restored_into_the_open_one_though_the_series_are_others():
    history = take(History(), (30, 1.0))
    history.restore(60, [row(0, 5.0, columns=("thing.value@gone",))])
    take(history, (60, 2.0))
    (found,) = history.rows(60)
    assert dict(zip(found.columns, found.mean, strict=True)) == {"thing.value@gone": 5.0, "thing.value@a": 1.0}


def test_restored_rows_share_the_columns_of_those_that_are_here():
    history = take(History(), (60, 1.0), (120, 2.0))
    history.restore(60, [row(0, 1.0, columns=("thing.value@" + "a"[:],)), row(30, 1.0, columns=("x.y",))])
    first, other, last = history.rows(60)
    assert first.columns is last.columns
    assert other.columns == ("x.y",)
    assert history.addresses() == {"thing.value@a", "x.y"}
    history = History()
    restored = row(0, 1.0, columns=("thing.value@" + "a"[:],))
    history.restore(60, [restored])
    take(history, (60, 1.0), (120, 2.0))
    assert history.rows(60)[1].columns is restored.columns


def test_restoring_knows_only_its_tiers():
    with pytest.raises(KeyError):
        History().restore(30, [])


def test_rows_are_folded_to_a_longer_step():
    rows = [row(0, 1.0), row(60, 3.0, low=[0.0], high=[9.0]), row(900, 5.0), row(0, 7.0)]
    folded = coarser(rows, 900)
    assert plain(folded) == [(0.0, [0.0], [2.0], [9.0]), (900.0, [5.0], [5.0], [5.0]), (0.0, [7.0], [7.0], [7.0])]
    assert coarser([], 900) == []


# Folding points.


def ramp(count: int, step: float, start: float = 0.0) -> list[Point]:
    return [Point(T + start + step * index, float(index) - 1, float(index), float(index) + 1) for index in range(count)]


def test_points_that_are_few_enough_stay_as_they_are():
    found = [Point(T, 0.123456789, 1.0, 2.0), Point(T + 7, 1.0, 2.0, 3.0)]
    assert fold(found, T, T + 60, 2) == found
    assert fold([], T, T + 60, 1) == []


def test_too_many_points_are_folded_into_buckets_of_a_round_width():
    # 24 times 5 s in at most 5 points: 20 s are no round width, 30 s are.
    folded = fold(ramp(24, 5), T, T + 120, 5)
    assert folded == [
        Point(T, -1.0, 2.5, 6.0),
        Point(T + 30, 5.0, 8.5, 12.0),
        Point(T + 60, 11.0, 14.5, 18.0),
        Point(T + 90, 17.0, 20.5, 24.0),
    ]


@pytest.mark.parametrize(
    ("count", "step", "most", "width"),
    [
        (720, 5, 719, 10),
        (720, 5, 100, 60),
        (1440, 60, 1000, 120),
        (1440, 60, 100, 900),
        (1440, 60, 24, 3600),
        (672, 900, 100, 7200),
        (672, 900, 8, 86400),
        (672, 900, 6, 172800),
        (10, 0.25, 5, 1),
    ],
)
def test_the_width_is_the_smallest_round_one_and_buckets_start_at_its_multiples(count, step, most, width):
    folded = fold(ramp(count, step), T, T + count * step, most)
    assert len(folded) <= most
    assert all(point.time % width == 0 for point in folded)
    assert {after.time - before.time for before, after in pairwise(folded)} == {float(width)}


def test_gaps_stay_gaps_and_take_no_room():
    found = [*ramp(3, 5), *ramp(3, 5, 86400 * 30)]
    assert [point.time - T for point in fold(found, 0.0, T * 2, 4)] == [0.0, 10.0, 2592000.0, 2592010.0]


def test_a_point_that_begins_before_the_range_counts_to_its_first():
    found = ramp(4, 60, -60)
    assert [point.time - T for point in fold(found, T, T + 180, 2)] == [0.0, 120.0]
    assert fold(found, T, T + 180, 1) == [Point(fold(found, T, T + 180, 1)[0].time, -1.0, 1.5, 4.0)]


@given(
    st.lists(st.integers(0, 700_000), min_size=1, max_size=60, unique=True), st.integers(1, 20), st.integers(0, 700_000)
)
def test_folding_loses_no_extreme_and_gives_no_more_than_asked_for(times, most, since):
    found = [Point(T + time, float(time), float(time), float(time)) for time in sorted(times)]
    folded = fold(found, T + since, T + 700_000, most)
    assert len(folded) <= most
    assert [point.time for point in folded] == sorted({point.time for point in folded})
    assert min(point.low for point in folded) == min(times)
    assert max(point.high for point in folded) == max(times)


# As JSON.


def test_rows_are_written_with_6_digits_and_each_value_once_where_it_can_be():
    one_, two = ("thing.value@a", "thing.value@b"), ("thing.value@a",)
    rows = [
        row(0, 68.4, NAN, columns=one_),
        row(60, 1.2345678, 2.0, low=[1.0, 0.5], high=[1.5, 2_000_000.4], columns=one_),
        row(120, 3.0, columns=two),
        row(180, 3.0, low=[3.0], high=[3.0], columns=two),
        row(240, 3.0, low=[3.0], high=[4.0], columns=two),
    ]
    data = rows_data(60, rows)
    assert data == {
        "step": 60,
        "blocks": [
            {
                "columns": list(one_),
                "rows": [
                    [T, [68.4, None]],
                    [T + 60, [1.0, 0.5], [1.23457, 2.0], [1.5, 2_000_000.0]],
                ],
            },
            {"columns": list(two), "rows": [[T + 120, [3.0]], [T + 180, [3.0]], [T + 240, [3.0], [3.0], [4.0]]]},
        ],
    }
    assert json.dumps(data, allow_nan=False).startswith('{"step": 60, "blocks": [{"columns": ["thing.value@a", ')
    assert f"[{int(T)}, [68.4, null]]" in json.dumps(data)
    assert rows_data(0.5, []) == {"step": 0.5, "blocks": []}


def test_rows_come_back_as_they_were_written():
    history = History()
    for index in range(100):
        history.take(
            snapshot(T + 3 * index, thing=things(a=index / 7, b=None), one=one(index / 3 if (index + 1) % 4 else None))
            if index < 60
            else snapshot(T + 3 * index, thing=things(c=1.0))
        )
    data = rows_data(5, history.rows(5))
    back = rows_from(json.loads(json.dumps(data)))
    assert rows_data(5, back) == data
    assert [found.time for found in back] == [found.time for found in history.rows(5)]
    assert back[0].columns is back[1].columns
    single = next(found for found in back if found.low == found.high)
    assert single.low is single.mean is single.high
    for found, kept in zip(back, history.rows(5), strict=True):
        assert list(found.mean) == pytest.approx(list(kept.mean), rel=1e-5, nan_ok=True)


def test_equal_columns_of_different_blocks_are_one():
    block = {"columns": ["a.b"], "rows": [[60, [1]]]}
    first, second = rows_from({"step": 60, "blocks": [block, {"columns": ["a.b"], "rows": [[120, [2]]]}]})
    assert first.columns is second.columns
    assert (first.time, list(first.mean), list(second.mean)) == (60.0, [1.0], [2.0])


def data(**changed: object) -> dict[str, object]:
    return {"step": 60, "blocks": [{"columns": ["a.b", "c.d"], "rows": [[60, [1, 2.5]]], **changed}]}


MALFORMED = [
    None,
    [],
    "x",
    {},
    {"step": 60},
    {"blocks": []},
    *({"step": step, "blocks": []} for step in (0, -1, True, None, "60", NAN, math.inf, 10**400, 1e-9)),
    *({"step": 60, "blocks": blocks} for blocks in (None, {}, [None], [[]], [{}], "x")),
    *(data(columns=columns) for columns in (None, "ab", ["a.b"], ["a.b", 1], ["a.b", "a.b"], [["a"], "b"], {"a": 1})),
    *(data(rows=rows) for rows in (None, {}, "ab", [None], [{}], [[]], [[60]], ["ab"])),
    *(data(rows=[[time, [1, 2]]]) for time in (None, "60", True, 61, 60.5, -60, NAN, math.inf, 10**400, 6e300, [60])),
    *(
        data(rows=[[60, values]])
        for values in (None, 1, "ab", {}, [1], [1, 2, 3], [1, "2"], [1, True], [1, [2]], [1, NAN], [1, math.inf])
    ),
    *(data(rows=[[60, values]]) for values in ([1, 10**400], [1, 1e39], [None, 1e39], [1, -1e300])),
    data(rows=[[60, [1, 2], [1, 2]]]),
    data(rows=[[60, [1, 2], [1, 2], [1, 2], [1, 2]]]),
    data(rows=[[60, [1, 2], [0, 2], [1, 2]]]),
    data(rows=[[60, [1, 2], [1, 3], [1, 2]]]),
    data(rows=[[60, [1, None], [1, 2], [1, 2]]]),
    data(rows=[[60, [1, 2], [1, None], [1, 2]]]),
    data(rows=[[60, [1, 2], [1, 2], [1, None]]]),
]


@pytest.mark.parametrize("found", MALFORMED, ids=lambda found: repr(found)[:60])
def test_what_is_malformed_says_so_in_one_line(found):
    with pytest.raises(ValueError, match=r"^malformed history: [^\n]{1,80}$"):
        rows_from(found)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["a.b", "step", "", 60, [60, [1.0]]]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["step", "blocks", "columns", "rows"]), inner, max_size=4)
    ),
)


@given(
    JSON
    | st.fixed_dictionaries(
        {
            "step": st.just(60),
            "blocks": st.lists(
                st.fixed_dictionaries({"columns": st.just(["a.b"]), "rows": st.lists(JSON, max_size=3)}), max_size=2
            ),
        }
    )
)
def test_whatever_a_file_says_it_is_rows_or_malformed(found):
    try:
        rows = rows_from(found)
    except ValueError:
        return
    assert all(isinstance(each, Row) for each in rows)


# Against a reference that is as plain as can be.

KEPT = {5: 13, 60: 5}
VALUES = st.none() | st.integers(0, 1000).map(lambda tenths: tenths / 10)
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.25, 1.0, 5.0, 5.0, 5.0, 5.0, 7.5, 30.0, 61.0, 900.0, -1.0, -5.0, -70.0, -1000.0]),
        st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3),
        st.booleans(),
    ),
    min_size=1,
    max_size=120,
)
Triple = tuple[float, float, float]


def together(parts: list[dict[str, Triple]]) -> dict[str, Triple]:
    """Fold what is known of each series."""
    found = defaultdict(list)
    for part in parts:
        for address, triple in part.items():
            found[address].append(triple)
    return {
        address: (
            min(low for low, _, _ in triples),
            math.fsum(mean for _, mean, _ in triples) / len(triples),
            max(high for _, _, high in triples),
        )
        for address, triples in found.items()
    }


def grouped(rows: list[tuple[float, dict[str, Triple]]], step: float) -> list[tuple[float, dict[str, Triple]]]:
    """Fold rows that follow each other and lie in the same bucket."""
    return [
        (start, together([known for _, known in rows]))
        for start, rows in groupby(rows, lambda found: math.floor(found[0] / step) * step)
    ]


def close(known: dict[str, Triple]) -> dict[str, object]:
    return {address: pytest.approx(triple, rel=1e-5, abs=1e-5) for address, triple in known.items()}


def known_of(found: Row) -> dict[str, Triple]:
    return {
        address: triple
        for address, *triple in zip(found.columns, found.low, found.mean, found.high, strict=True)
        if not math.isnan(triple[1])
    }


@given(STEPS)
def test_the_history_is_that_of_a_plain_reference(steps):
    history = History((Tier(5, 65), Tier(60, 300), Tier(900, 2700)))
    time = T
    samples = []
    last = None
    for gone, values, same in steps:
        time += gone
        # An unchanged family is the same object.
        entries = last if same and last is not None else things(**values)
        last = entries
        history.take(snapshot(time, thing=entries))
        known = {name: entry.reading.value for name, entry in entries.items() if entry.reading.value is not None}
        samples.append((time, {f"thing.value@{name}": (value,) * 3 for name, value in known.items()}))
        assert all(len(history.rows(step)) <= kept for step, kept in KEPT.items())
    fine = grouped(samples, 5)
    minutes = grouped(fine, 60)
    for step, closed in ((5, fine[:-1]), (60, minutes[:-1])):
        expected = closed[-KEPT[step] :]
        found = history.rows(step)
        assert [each.time for each in found] == [start for start, _ in expected]
        for each, (_, known) in zip(found, expected, strict=True):
            assert known_of(each) == close(known)
            assert len(each.columns) == len(each.low) == len(each.mean) == len(each.high)
    hold_points(history, [*fine[:-1][-KEPT[5] :], *still_open(samples)])


def still_open(samples: list) -> list:
    """Return the samples of the bucket that is open."""
    return [list(within) for _, within in groupby(samples, lambda found: math.floor(found[0] / 5) * 5)][-1]


def hold_points(history: History, rows: list) -> None:
    """Hold the points of the finest tier to its rows and what is open."""
    merged = defaultdict(list)
    for time, known in rows:
        merged[math.floor(time / 5) * 5].append(known)
    folded = {start: together(parts) for start, parts in sorted(merged.items())}
    for address in history.addresses():
        expected = [(start, *known[address]) for start, known in folded.items() if address in known]
        found = history.points(address, min(folded), math.inf)
        assert [tuple(point) for point in found] == [pytest.approx(each, rel=1e-5, abs=1e-5) for each in expected]


def test_what_is_beyond_the_limit_is_said_once(caplog):
    history = History(most=3)
    for moment in (T, T + 5):
        history.take(snapshot(moment, thing=things(c=3.0, b=2.0, a=1.0), one=one()))
    (said,) = [record.getMessage() for record in caplog.records]
    assert said == "2 series beyond the 3 of history.series are not remembered"
