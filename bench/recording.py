"""What recording costs beside a cycle, how fast a recording is replayed, and how soon a week of it can be asked for.

    python -m bench.recording [--days 7]

The recording is of this machine, sample after sample as fast as it gives them, on a clock that says every 5 s.
"""

import argparse
import asyncio
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from functools import partial

from bench.bus import Bus, end
from bench.command import commands, run
from bench.figures import machine, number, table
from healthctl.client import Client
from healthd import archive, observe
from healthd.clock import Instant
from healthd.events import encode
from healthd.health.judge import Judge
from healthd.model import Account, Cycle, Kind, Observation, Reading, Sample, Source
from healthd.pipeline import Pipeline
from healthd.publish.jsonl import Keeping, Recorder
from healthd.replay import Replay
from healthd.state.history import History
from healthd.state.store import Store
from healthd.worker import Worker

INTERVAL = 5.0
_DAY = 86400.0
_CYCLES = 2000
_TIMES = 15
_RESTLESS = ("cpu", "disk", "load", "memory", "network", "pressure")
_SHARE = 0.8


class Script:
    """A clock that is an interval later at each look, and comes to the present in the end."""

    def __init__(self, cycles: int) -> None:
        self._start = time.time() - cycles * INTERVAL
        self._passed = 0.0

    def now(self) -> Instant:
        """Return the next moment."""
        self._passed += INTERVAL
        return Instant(round(self._start + self._passed, 3), 1000.0 + self._passed, 0.0)


class Restless:
    """A source with other values in each sample for most of what a busy machine has: as under load."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._random = random.Random(1)

    def ticks(self) -> AsyncIterator[None]:
        """Nobody waits for these."""
        return self._source.ticks()

    async def sample(self) -> Sample:
        """Return a sample."""
        sample = await self._source.sample()
        return sample._replace(observations=tuple([self._moved(one) for one in sample.observations]))

    def _moved(self, seen: Observation) -> Observation:
        if seen.family.name not in _RESTLESS or self._random.random() > _SHARE:
            return seen
        return replace(seen, readings={name: self._other(reading) for name, reading in seen.readings.items()})

    def _other(self, reading: Reading) -> Reading:
        moved = {
            metric.name: metric.type(
                min(round(value * self._random.uniform(0.8, 1.2) + 1, metric.digits), metric.maximum)
            )
            for metric in reading.metrics
            if metric.kind is Kind.GAUGE and isinstance(value := getattr(reading, metric.name), float | int)
        }
        return replace(reading, **moved)


class Shelf:
    """A publisher that keeps the cycles, or only encodes their events."""

    name = "shelf"

    def __init__(self, *, keep: bool) -> None:
        self.cycles: list[Cycle] = []
        self.events = 0
        self._keep = keep

    def publish(self, cycle: Cycle) -> None:
        """Take a cycle."""
        self.events += len(cycle.events)
        if self._keep:
            self.cycles.append(cycle)
        else:
            for event in cycle.events:
                encode(event)

    def account(self) -> Account:
        """It loses nothing."""
        return Account()


async def record(directory: str, cycles: int, publishers: Sequence[Shelf] = ()) -> None:
    """Record so many cycles of this machine."""
    collectors = observe.collectors()
    families = observe.families(collectors)
    summary = partial(archive.summary, families)
    recorder = Recorder(directory, Keeping(max_age=30 * _DAY, min_free=0), Worker("record"), Worker("tidy"), summary)
    runner = observe.Runner(collectors, observe.roots(), INTERVAL, Script(cycles))
    pipeline = Pipeline(Restless(runner), Store(), Judge(()), History(), [recorder, *publishers])
    for _ in range(cycles):
        await pipeline.cycle()
        await recorder.room()
    await recorder.close()


async def cost(cycles: Sequence[Cycle]) -> float:
    """Return what recording takes of CPU time, ms a cycle, all threads; nothing is compressed meanwhile."""
    with tempfile.TemporaryDirectory() as directory:
        recorder = Recorder(
            directory, Keeping(segment=_DAY * 365, min_free=0), Worker("record"), Worker("tidy"), lambda _: b""
        )
        began = time.process_time()
        for cycle in cycles:
            recorder.publish(cycle)
            await recorder.room()
        await recorder.close()
        return (time.process_time() - began) * 1000 / len(cycles)


async def replayed(directory: str) -> tuple[float, int]:
    """Return how many events a second of CPU time are replayed and encoded, and how many there are."""
    shelf = Shelf(keep=False)
    source = Replay(directory, observe.families(observe.collectors()), speed=float("inf"))
    pipeline = Pipeline(source, Store(), Judge(()), History(), [shelf])
    began = time.process_time()
    async for _ in source.ticks():
        await pipeline.cycle()
    return shelf.events / (time.process_time() - began), shelf.events


def started(directory: str, days: float) -> tuple[float, float, float]:
    """Start healthd on a recording; return when it serves, when all can be asked for, and how long `history` takes.

    Seconds from the start, twice, and milliseconds of a whole process that asks for a day.
    """
    with Bus() as bus:
        began = time.monotonic()
        healthd = bus.healthd(INTERVAL, "", "--record", directory)
        serves = time.monotonic() - began
        try:
            with Client(bus.address) as client:
                since = time.time() - days * _DAY + 3600
                while True:
                    points = client.history("cpu.busy", since, None, 10_000)
                    if points and points[0].time < since + 1800:
                        break
                whole = time.monotonic() - began
            command = [*commands(bus.address)["`healthctl --version`"][:-1], "history", "cpu.busy", "--since", "-1d"]
            command += ["--bus", bus.address]
            times = sorted(run(command)[0] for _ in range(_TIMES))
        finally:
            end(healthd)
    return serves, whole, times[_TIMES // 2]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.recording", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--days", type=float, default=7.0, help="how long the recording is (default: 7)")
    chosen = parser.parse_args()
    shelf = Shelf(keep=True)
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(record(f"{directory}/short", _CYCLES, [shelf]))
        each = asyncio.run(cost(shelf.cycles[1:]))
        speed, events = asyncio.run(replayed(f"{directory}/short"))
        asyncio.run(record(f"{directory}/long", int(chosen.days * _DAY / INTERVAL)))
        size = sum(
            os.path.getsize(f"{path}/{name}") for path, _, names in os.walk(f"{directory}/long") for name in names
        )
        serves, whole, history = started(f"{directory}/long", chosen.days)
    print(machine(), "\n")
    rows = [
        ["recording a cycle, ms of CPU", "≤ 0.15", number(each, 3)],
        ["events a cycle", "", number(events / _CYCLES, 1)],
        ["replay, events a second", "≥ 20000", number(speed)],
        ["the recording, MB compressed", "", number(size / 1e6, 1)],
        [f"healthd serves, {chosen.days:g} days recorded, s", "", number(serves, 2)],
        ["all of them can be asked for after, s", "≤ 3", number(whole, 2)],
        ["`healthctl history` over 24 h, whole process, ms", "≤ 150", number(history)],
    ]
    print(table(("", "target", ""), rows))


if __name__ == "__main__":
    main()
