"""The time: read once a cycle, injected everywhere else."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, Protocol

from healthd import protocol

# Reckoned from here, a time after 2038 can be written where the C library's time_t has 32 bits.
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # UTC, which is not written as isoformat would
_EARLY = 0.002
# What clocks that are read one after the other, or are slewed, differ by.
_STEP = 0.5
_LATE = 1.0


class Instant(NamedTuple):
    """One moment, on three clocks that are read together.

    `time`: CLOCK_REALTIME, seconds since 1970 UTC; may step.
    `since_boot`: CLOCK_BOOTTIME, seconds; goes on while the machine sleeps.
    `asleep`: CLOCK_BOOTTIME less CLOCK_MONOTONIC: how long the machine has slept since boot, seconds.
    """

    time: float
    since_boot: float
    asleep: float


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> Instant:
        """Return this moment."""


class SystemClock:
    """The kernel's clocks."""

    def now(self) -> Instant:
        """Return this moment, rounded to milliseconds."""
        since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
        asleep = since_boot - time.clock_gettime(time.CLOCK_MONOTONIC)
        # What lies between the clocks is rounded, not both of them: so they tell the same time from sample to sample.
        booted = round(time.time() - since_boot, 3)
        since_boot = round(since_boot, 3)
        return Instant(round(booted + since_boot, 3), since_boot, round(asleep, 3))


@lru_cache(maxsize=4)
def iso(seconds: float) -> str:
    """Write seconds since 1970 as UTC with milliseconds: `2026-01-01T12:00:00.000Z`."""
    return f"{(_EPOCH + timedelta(milliseconds=round(seconds * 1000))).isoformat(timespec='milliseconds')}Z"


async def _sleep(seconds: float) -> bool:
    await asyncio.sleep(seconds)
    return False


async def ticks(
    clock: Clock, interval: float, sleep: Callable[[float], Awaitable[bool]] = _sleep
) -> AsyncIterator[None]:
    """Yield at each multiple of `interval` seconds on CLOCK_BOOTTIME; ticks that were missed are left out.

    `sleep` may return early, and True, where something is due at once: that is the last tick of these.
    """
    due = 0.0
    while True:
        due = max(due, math.floor(clock.now().since_boot / interval) * interval) + interval
        # One sleep a tick: a timer that fires a hair early is near enough.
        while (delay := due - clock.now().since_boot) > _EARLY:
            if await sleep(delay):
                yield
                return
        yield


def gaps(before: Instant, now: Instant, interval: float) -> Iterator[tuple[str, float]]:
    """Yield what lies between two samples beside the interval: its name in `protocol`, and seconds.

    `SUSPEND`: how long the machine slept. `CLOCK`: how far the wall clock was set, backwards below zero.
    `OVERRUN`: how much later than due the sample is, where that is more than an interval and a second.
    """
    passed = now.since_boot - before.since_boot
    slept = now.asleep - before.asleep
    if slept > _STEP:
        yield protocol.SUSPEND, round(slept, 3)
    stepped = now.time - before.time - passed
    if abs(stepped) > _STEP:
        yield protocol.CLOCK, round(stepped, 3)
    late = passed - max(slept, 0.0) - interval
    if late > max(interval * 0.9, _LATE):
        yield protocol.OVERRUN, round(late, 3)
