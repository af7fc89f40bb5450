"""CPU time of whole cycles on a recorded machine: what a Raspberry Pi's own parts add to those of a plain board.

    python -m bench.machines [--runs 25] [--machine raspberry-pi-5]

Both are copies of the fixture's tree. The Pi's firmware answers on `/dev/vcio_gencmd` that all is well; the plain board
is the same one, were it no Raspberry Pi: it has no such device, not the firmware's node (`rpi_volt`, `get_throttled`),
and another name.
"""

import argparse
import asyncio
import os
import random
import re
import shutil
import statistics
import struct
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from time import process_time_ns
from typing import Any

from bench.bus import Bus
from bench.cycle import NOTHING, SteppingClock, Work, shipped
from bench.figures import machine, number, stay, table
from bench.trees import write
from healthd import dbus, observe
from healthd.health.judge import Judge
from healthd.observe.filesystem import FilesystemCollector
from healthd.observe.throttling import ThrottlingCollector
from healthd.pipeline import Pipeline
from healthd.publish.bus.server import BusServer
from healthd.state.history import History
from healthd.state.store import Store

INTERVAL = 5.0
CYCLES = 24
"""Two minutes: four times what is observed every 30 s, twice what is tried again each minute."""
FIXTURES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "fixtures")

# Where the counters of a line begin, and what else is never the same twice.
_COUNTERS = {"proc/diskstats": 3, "proc/net/dev": 1, "proc/stat": 1, "proc/vmstat": 1}
_WAVERING = ("proc/loadavg", "proc/meminfo", "proc/pressure/cpu", "proc/pressure/io", "proc/pressure/memory")
_TEMPERATURES = re.compile(r"temp\d+_input|temp")


class Whole:
    """The whole pipeline on a tree, without clients; each cycle is an interval later than the one before."""

    def __init__(self, collectors: Sequence[observe.CollectorType], roots: observe.Roots) -> None:
        self._server = BusServer(observe.families(collectors), NOTHING, dict, Judge(()), None)
        self.pipeline = Pipeline(
            observe.Runner(collectors, roots, INTERVAL, SteppingClock(INTERVAL)),
            Store(),
            Judge(shipped()),
            History(),
            [self._server],
        )
        self._connection: dbus.Connection | None = None

    def attach(self, connection: dbus.Connection) -> None:
        """Publish there."""
        self._connection = connection
        self._server.attach(connection)

    async def cycle(self) -> float:
        """Run a cycle until the bus has taken all of it; return the CPU time of all threads in µs."""
        began = process_time_ns()
        await self.pipeline.cycle()
        while self._connection and self._connection.backlog:  # noqa: ASYNC110  # the loop has its turns until it has
            await asyncio.sleep(0)
        return (process_time_ns() - began) / 1000

    def instances(self) -> int:
        """Return of how many instances there are values now."""
        snapshot = self.pipeline.snapshot
        families = snapshot.entries.values() if snapshot else ()
        return sum(entry.status.available for entries in families for entry in entries.values())


@asynccontextmanager
async def whole(collectors: Sequence[observe.CollectorType], roots: observe.Roots) -> AsyncIterator[Whole]:
    """Give a pipeline that publishes on a private bus of its own."""
    made = Whole(collectors, roots)
    with Bus() as bus:
        connection = await dbus.connect(bus.address)
        await made.pipeline.cycle()
        made.attach(connection)
        await made.cycle()
        yield made
        connection.close()
        await connection.lost


async def spent(made: Whole, prepare: Work = int) -> list[float]:
    """Return what each of some cycles takes, µs; `prepare` is called before each and not counted."""
    times = []
    for _ in range(CYCLES):
        prepare()
        times.append(await made.cycle())
    return times


def least(runs: Sequence[Sequence[float]]) -> float:
    """Return what a cycle takes on average, where each of them takes what it took in the quietest of the runs."""
    return statistics.fmean(min(times) for times in zip(*runs, strict=True))


def answer(_fd: int, _request: int, message: bytearray) -> int:
    """Answer as the firmware of a Raspberry Pi does with which all is well."""
    text = b"throttled=0x0\n\0"
    struct.pack_into("<I", message, 4, 1 << 31)
    struct.pack_into(f"<2I{len(text)}s", message, 16, 1 << 31 | len(text), 0, text)
    return 0


class Throttling(ThrottlingCollector):
    """Asks that firmware, where there is a device: the kernel's and the firmware's own time is not in it."""

    def __init__(self, roots: observe.Roots) -> None:
        super().__init__(roots, answer)


class Filesystems(FilesystemCollector):
    """Asks for the space of the root of this machine wherever a recorded one has a file system."""

    def __init__(self, roots: observe.Roots) -> None:
        super().__init__(roots, lambda _: os.statvfs("/"))


def collectors() -> list[observe.CollectorType]:
    """Return all collectors, those that ask more than files with something to ask."""
    own: list[Any] = [Throttling, Filesystems]
    others = [made for made in observe.collectors() if made.reading not in {mine.reading for mine in own}]
    return sorted([*own, *others], key=lambda made: made.reading.family.name)


def pi(fixture: str, root: str) -> None:
    """Make a copy of a fixture, with the device that the firmware answers on."""
    shutil.copytree(f"{FIXTURES}/{fixture}", root, symlinks=True)
    write(f"{root}/dev/vcio_gencmd", "")


def plain(fixture: str, root: str) -> None:
    """Make a copy of a fixture without what only a Raspberry Pi has."""
    shutil.copytree(f"{FIXTURES}/{fixture}", root, symlinks=True)
    for directory, names, _ in os.walk(f"{root}/sys/devices/platform", topdown=False):
        for name in names:
            if name.endswith(":firmware"):
                shutil.rmtree(f"{directory}/{name}")
    hwmon = f"{root}/sys/class/hwmon"
    for name in os.listdir(hwmon) if os.path.isdir(hwmon) else ():
        if not os.path.exists(f"{hwmon}/{name}"):
            os.unlink(f"{hwmon}/{name}")
    for model in ("sys/firmware/devicetree/base/model", "proc/device-tree/model"):
        if os.path.isfile(f"{root}/{model}"):
            write(f"{root}/{model}", "Board\0")


class Life:
    """Changes what a tree holds, step by step and by a seed: counters grow, the rest goes up and down."""

    def __init__(self, root: str) -> None:
        self._random = random.Random(0)
        self._changes: dict[str, Callable[[bytes], bytes]] = {}
        for path, first in _COUNTERS.items():
            self._changes[f"{root}/{path}"] = partial(self._grown, first)
        for path in _WAVERING:
            self._changes[f"{root}/{path}"] = partial(re.compile(rb"\d+\.\d\d|\d{4,}").sub, self._near)
        for directory, _, names in os.walk(f"{root}/sys/devices"):
            for name in filter(_TEMPERATURES.fullmatch, names):
                self._changes[f"{directory}/{name}"] = partial(re.compile(rb"\d{4,}").sub, self._near)
        self._changes = {path: change for path, change in self._changes.items() if os.path.isfile(path)}
        self._first = {path: _content(path) for path in self._changes}
        self._steps = 0

    def go_on(self) -> None:
        """Go on by a step."""
        self._steps += 1
        for path, change in self._changes.items():
            with open(path, "wb", buffering=0) as file:
                file.write(change(self._first[path]))

    def _near(self, found: re.Match[bytes]) -> bytes:
        value = float(found[0]) * self._random.uniform(0.95, 1.0)
        return b"%.2f" % value if b"." in found[0] else b"%d" % value

    def _grown(self, first: int, text: bytes) -> bytes:
        lines = []
        for line in text.splitlines():
            words = line.split()
            if words and words[0] not in (b"btime", b"intr"):
                grown = [str(int(word) + self._more()).encode() if word.isdigit() else word for word in words[first:]]
                line = b" ".join([*words[:first], *grown])  # noqa: PLW2901  # what stays is as it was
            lines.append(line + b"\n")
        return b"".join(lines)

    def _more(self) -> int:
        return 1000 * self._steps + self._random.randint(0, 900)


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


async def compare(fixture: str, runs: int) -> list[list[str]]:
    """Return for cycles without and with changes what each machine takes; they take turns."""
    rows = []
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        made, lives = [], []
        for make in (pi, plain):
            root = f"{directory}/{make.__name__}"
            make(fixture, root)
            roots = observe.roots(f"{root}/proc", f"{root}/sys", f"{root}/etc", root)
            made.append(await stack.enter_async_context(whole(collectors(), roots)))
            lives.append(Life(root))
        cases: dict[str, list[Work]] = {"nothing changes": [int, int], "values change": [life.go_on for life in lives]}
        for name, changes in cases.items():
            times = [
                [await spent(each, change) for each, change in zip(made, changes, strict=True)] for _ in range(runs)
            ]
            ours, theirs = map(least, zip(*times, strict=True))
            instances = " / ".join(str(each.instances()) for each in made)
            rows.append([name, instances, number(ours), number(theirs), number(ours / theirs, 2)])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.machines", description="CPU time of cycles on a machine.")
    parser.add_argument("--runs", type=int, default=25, help="each cycle takes the least of so many (default: 25)")
    parser.add_argument("--machine", default="raspberry-pi-5", help="which fixture (default: raspberry-pi-5)")
    chosen = parser.parse_args()
    stay()
    rows = asyncio.run(compare(chosen.machine, chosen.runs))
    print(machine(), "\n")
    print(table((f"a cycle of {chosen.machine}", "instances", "as it is, µs", "plain, µs", "ratio"), rows), "\n")
    print(machine())


if __name__ == "__main__":
    main()
