"""Ticks come at multiples of the interval; times are written as UTC."""

import asyncio
import math
import time
from itertools import pairwise

import pytest
from time_zone import zone

from healthd.clock import Instant, SystemClock, iso, ticks


class FakeClock:
    """A clock that goes on only by what is slept, plus `late` for each sleep."""

    def __init__(self, since_boot: float, late: float = 0.0) -> None:
        self.since_boot = since_boot
        self.late = late
        self.sleeps: list[float] = []

    def now(self) -> Instant:
        return Instant(1767254400.0, round(self.since_boot, 3), 0.0)

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.since_boot += seconds + self.late


@pytest.fixture
def clock(monkeypatch):
    def make(since_boot: float, late: float = 0.0) -> FakeClock:
        made = FakeClock(since_boot, late)
        monkeypatch.setattr(asyncio, "sleep", made.sleep)
        return made

    return make


def follow(clock: FakeClock, interval: float, work: list[float]) -> list[float]:
    """Return when each tick came; after each one the work takes so many seconds."""

    async def run() -> list[float]:
        came = []
        each = ticks(clock, interval)
        for seconds in work:
            await anext(each)
            came.append(round(clock.since_boot, 3))
            clock.since_boot += seconds
        await each.aclose()
        return came

    return asyncio.run(run())


def test_ticks_are_at_multiples_of_the_interval_since_boot(clock):
    assert follow(clock(101.7), 5.0, [0.0] * 4) == [105.0, 110.0, 115.0, 120.0]
    assert follow(clock(101.7), 60.0, [0.0] * 2) == [120.0, 180.0]


def test_work_and_late_wake_ups_do_not_add_up(clock):
    made = clock(100.0, late=0.004)
    came = follow(made, 1.0, [0.3] * 100)
    assert came == [round(101.004 + tick, 3) for tick in range(100)]


def test_there_is_one_sleep_a_tick_even_when_it_ends_a_hair_early(clock):
    for late in (0.0, 0.001, -0.001):
        made = clock(100.0, late)
        came = follow(made, 5.0, [0.0] * 25 + [0.01] * 25)
        assert len(made.sleeps) == 50
        assert all(abs(moment - 5 * (21 + tick)) <= 0.002 for tick, moment in enumerate(came))


def test_a_sleep_that_ends_far_too_early_is_gone_on_with(clock, monkeypatch):
    made = clock(100.0)

    async def half(seconds: float) -> None:
        await made.sleep(seconds / 2)

    monkeypatch.setattr(asyncio, "sleep", half)
    assert follow(made, 5.0, [0.0]) == [pytest.approx(105.0, abs=0.003)]
    assert len(made.sleeps) > 5


def test_ticks_that_were_missed_are_left_out(clock):
    assert follow(clock(100.0), 5.0, [0.0, 12.0, 0.0, 3600.0, 0.0]) == [105.0, 110.0, 125.0, 130.0, 3735.0]


def test_work_as_long_as_the_interval_takes_the_next_tick_and_no_burst(clock):
    came = follow(clock(100.0), 1.0, [1.0, 1.5, 0.0, 0.0])
    assert came == [101.0, 103.0, 105.0, 106.0]
    assert all(later - sooner >= 1.0 for sooner, later in pairwise(came))


def test_an_interval_that_binary_fractions_cannot_hold_does_not_drift(clock):
    came = follow(clock(1_000_000.0), 0.3, [0.0] * 20_000)
    last = came[-1] / 0.3
    assert abs(last - round(last)) < 0.01
    assert len(set(came)) == 20_000
    assert came[-1] == pytest.approx(1_000_000.0 + 6000.0, abs=0.31)


def test_the_kernels_clocks_are_read_together_and_to_milliseconds():
    now = SystemClock().now()
    assert abs(now.time - time.time()) < 5.0
    assert abs(now.since_boot - time.clock_gettime(time.CLOCK_BOOTTIME)) < 5.0
    assert now.asleep >= -0.001
    assert all(math.isclose(part, round(part, 3), abs_tol=1e-9) for part in now)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1767268800.0, "2026-01-01T12:00:00.000Z"),
        (1767268800.123, "2026-01-01T12:00:00.123Z"),
        (1767268800.9994, "2026-01-01T12:00:00.999Z"),
        (1767268799.9996, "2026-01-01T12:00:00.000Z"),
        (0.0, "1970-01-01T00:00:00.000Z"),
        (0.05, "1970-01-01T00:00:00.050Z"),
        (4102444799.5, "2099-12-31T23:59:59.500Z"),
    ],
)
def test_a_time_is_written_as_utc_with_milliseconds(seconds, text):
    with zone("Asia/Kolkata"):
        assert iso(seconds) == text


def test_both_clocks_go_on_alike_from_sample_to_sample(monkeypatch):
    boots = [5.0 * tick + 0.0001 * tick for tick in range(100)]
    found = []
    for boot in boots:
        monkeypatch.setattr(time, "clock_gettime", lambda _, boot=boot: boot)
        monkeypatch.setattr(time, "time", lambda boot=boot: 1767268800.4567 + boot)
        found.append(SystemClock().now())
    monkeypatch.undo()
    assert {round(now.time - now.since_boot, 3) for now in found} == {1767268800.457}
    assert all(round(now.time, 3) == now.time for now in found)
