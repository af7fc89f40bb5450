"""The time: read once a cycle, injected everywhere else."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol

_EARLY = 0.002


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
        return Instant(round(time.time(), 3), round(since_boot, 3), round(asleep, 3))


def iso(seconds: float) -> str:
    """Write seconds since 1970 as UTC with milliseconds: `2026-01-01T12:00:00.000Z`."""
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{milliseconds:03d}Z"


async def ticks(clock: Clock, interval: float) -> AsyncIterator[None]:
    """Yield at each multiple of `interval` seconds on CLOCK_BOOTTIME; ticks that were missed are left out."""
    due = 0.0
    while True:
        due = max(due, math.floor(clock.now().since_boot / interval) * interval) + interval
        # One sleep a tick: a timer that fires a hair early is near enough.
        while (delay := due - clock.now().since_boot) > _EARLY:  # noqa: ASYNC110  # the condition is the time itself
            await asyncio.sleep(delay)
        yield
