"""Record what a made-up machine does, the same at each run, until killed; tell on standard output how far it is.

    python record_child.py DIRECTORY [--batch S] [--segment S] [--age S] [--urgent N] [--cycles N] [--step S] [--pace S]
        [--wait] [--width N] [--summary] [--slow S] [--unsynced]

A line `published SEQ` follows each cycle, and `synced SEQ` each time that more is known to be on disk.
"""

import argparse
import asyncio
import os
import time
from collections.abc import Callable, Iterator
from functools import partial

from healthd import archive, protocol
from healthd.clock import Instant
from healthd.events import changes
from healthd.model import (
    SINGLE,
    Cycle,
    Event,
    Observation,
    Problem,
    Reading,
    Sample,
    Snapshot,
    Unit,
    counter,
    family,
    gauge,
    state,
)
from healthd.publish.jsonl import Keeping, Recorder
from healthd.state.store import Store
from healthd.worker import Worker

START = 1767268800.0
"""2026-01-01 12:00:00 UTC."""


@family("boiler")
class Boiler(Reading):
    """A boiler."""

    heat: float | None = gauge(Unit.CELSIUS, "How hot it is.")
    burned: int | None = counter(Unit.BYTES, "What it burned.")
    mode: str | None = state("What it does.")


@family("pump", instances="pump")
class Pump(Reading):
    """A pump."""

    flow: float | None = gauge(Unit.LOAD, "What it moves.")
    on: bool | None = state("Whether it runs.")


FAMILIES = [Boiler.family, Pump.family]


class Machine:
    """A made-up machine: what it reads follows from the number of the sample alone."""

    def __init__(self, *, time: float = START, boot_id: str = "boot-1", width: int = 3) -> None:
        self.time, self.since_boot, self.seq = time, 100.0, 0
        self.boot_id = boot_id
        self.snapshot: Snapshot | None = None
        self._width = width
        self._store = Store()

    def cycle(self, *names: str, passed: float = 5.0, stepped: float = 0.0, quiet: bool = False) -> Cycle:
        """Go on by a cycle with events of these names besides; the clock may be set, and nothing change."""
        if self.seq:
            self.since_boot += passed
            self.time += passed + stepped
        self.seq += 1
        now = Instant(round(self.time, 3), round(self.since_boot, 3), 0.0)
        before = self.snapshot
        found = () if quiet else tuple(self._observe(now))
        self.snapshot = self._store.accept(Sample(now, self.boot_id, self.seq, found, begins=before is None))
        events = [Event(now, name, {"number": self.seq}, self.boot_id, self.seq) for name in names]
        return Cycle(before, self.snapshot, (*events, *changes(before, self.snapshot)))

    def _observe(self, now: Instant) -> Iterator[Observation]:
        seq = self.seq
        boiler = Boiler(heat=20.0 + seq % 7, burned=1000 * seq, mode="café" if seq % 5 else "rest")
        problems = {SINGLE: Problem(protocol.FAILED, "it leaks", "mend it")} if seq % 11 == 10 else {}
        yield Observation(Boiler.family, now, {} if problems else {SINGLE: boiler}, problems, 0.0, 0)
        pumps = {f"pump {n}": Pump(flow=float(seq % 13 + n), on=not (seq + n) % 3) for n in range(self._width)}
        if seq % 17 > 12:
            del pumps["pump 1"]
        problems = {"pump 2": Problem(protocol.VANISHED, "it is gone")} if seq % 19 > 15 else {}
        yield Observation(Pump.family, now, {k: v for k, v in pumps.items() if k not in problems}, problems, 0.0, 0)


def story(machine: Machine, urgent: int, step: float = 5.0) -> Iterator[Cycle]:
    """Yield what happens: a start, then a cycle every `step` seconds, every so many of them with something urgent."""
    yield machine.cycle(protocol.RUNTIME_STARTED)
    while True:
        names = [protocol.HEALTH_TRANSITION] if urgent and machine.seq % urgent == urgent - 1 else []
        yield machine.cycle(*names, passed=step)


def no_summary(_: str) -> bytes:
    return b""


def slowly(sync: Callable[[int], object], seconds: float) -> Callable[[int], None]:
    """Return what syncs as a slow disk does."""

    def synced(descriptor: int) -> None:
        sync(descriptor)
        time.sleep(seconds)

    return synced


def say(recorder: Recorder, synced: int) -> int:
    """Tell what is on disk where that is more than was said."""
    if recorder.synced != synced:
        print(f"synced {recorder.synced}", flush=True)
    return recorder.synced


async def record(given: argparse.Namespace) -> None:
    keeping = Keeping(batch=given.batch, segment=given.segment, max_age=given.age, min_free=0)
    worker = Worker("record")
    summary = partial(archive.summary, FAMILIES) if given.summary else no_summary
    recorder = Recorder(given.directory, keeping, worker, Worker("tidy"), summary)
    machine, synced = Machine(width=given.width), 0
    for cycle in story(machine, given.urgent, given.step):
        recorder.publish(cycle)
        await asyncio.sleep(given.pace)
        await recorder.room()
        while given.wait and worker.waiting:  # the thread tells nobody when it has nothing to do
            await asyncio.sleep(0)
            synced = say(recorder, synced)
        print(f"published {cycle.snapshot.seq}", flush=True)
        synced = say(recorder, synced)
        if cycle.snapshot.seq >= given.cycles:
            break
    await recorder.close()
    print(f"synced {recorder.synced}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("--batch", type=float, default=60.0)
    parser.add_argument("--segment", type=float, default=600.0)
    parser.add_argument("--age", type=float, default=Keeping().max_age)
    parser.add_argument("--urgent", type=int, default=0, help="every so many cycles something urgent happens; 0: never")
    parser.add_argument("--cycles", type=float, default=float("inf"))
    parser.add_argument("--step", type=float, default=5.0, help="seconds from cycle to cycle, as they are told of")
    parser.add_argument("--pace", type=float, default=0.0, help="seconds from cycle to cycle, as they are waited for")
    parser.add_argument("--wait", action="store_true", help="go on only when the thread has nothing to do")
    parser.add_argument("--width", type=int, default=3, help="how many pumps there are: the size of a cycle")
    parser.add_argument("--summary", action="store_true", help="begin closed segments with their history")
    parser.add_argument("--slow", type=float, default=0.0, help="seconds that the disk takes besides for each sync")
    parser.add_argument("--unsynced", action="store_true", help="only pretend that anything is synced")
    given = parser.parse_args()
    for name in ("fsync", "fdatasync"):
        setattr(os, name, slowly(getattr(os, name) if not given.unsynced else os.fstat, given.slow))
    asyncio.run(record(given))


if __name__ == "__main__":
    main()
