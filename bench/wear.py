"""What recording writes: bytes into files, and sectors to the device, read from the device's own statistics.

    sudo python -m bench.wear [--minutes 30] [--idle] [--interval 5]

The recording lies on an ext4 file system of its own on a loop device; its journal is counted. Beside it runs the
scripted load of bench.load, or nothing. What a start writes is told for itself: a day has one. A new segment writes
no more than that, and is counted as much.
"""

import argparse
import asyncio
import json
import operator
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.bus import Bus, end
from bench.figures import machine, number, table
from healthd import observe
from healthd.clock import SystemClock
from healthd.model import Reading
from healthd.publish.jsonl import Keeping

_DAY = 86400.0
_SECTOR = 512
# What the kernel takes to write back what it holds (vm.dirty_expire_centisecs), and its journal after that.
_SETTLE = 45.0


@contextmanager
def device() -> Iterator[tuple[str, str]]:
    """Give a mounted file system and the name of its loop device. Raises SystemExit where it can't be made."""
    if os.geteuid():
        raise SystemExit("a loop device needs root")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        image, mount = f"{directory}/image", f"{directory}/mount"
        with open(image, "wb") as file:
            file.truncate(512 << 20)
        os.mkdir(mount)
        subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", image], check=True)
        made = subprocess.run(["losetup", "-f", "--show", image], check=True, capture_output=True, text=True)
        loop = made.stdout.strip()
        try:
            subprocess.run(["mount", loop, mount], check=True)
            try:
                yield mount, os.path.basename(loop)
            finally:
                subprocess.run(["umount", mount], check=True)
        finally:
            subprocess.run(["losetup", "-d", loop], check=True)


def sectors(loop: str) -> int:
    """Return how many sectors were written to a device (Documentation/block/stat)."""
    with open(f"/sys/block/{loop}/stat", encoding="ascii") as file:
        return int(file.read().split()[6])


def recorded(directory: str) -> tuple[int, int, int, int]:
    """Return bytes of lines, lines, cycles and values of a recording, its compressed segments as they were before."""
    size = lines = values = 0
    cycles = set()
    for path, _, names in os.walk(directory):
        for name in sorted(names):
            file = f"{path}/{name}"
            text = subprocess.run(["zcat", "-f", file], check=True, capture_output=True).stdout
            for line in text.splitlines():
                event = json.loads(line)
                if event["name"] == "history":
                    continue
                size, lines = size + len(line) + 1, lines + 1
                cycles.add(event["time"])
                if event["name"].startswith("system."):
                    values += _values(event["data"])
    return size, lines, len(cycles), values


def _values(data: dict[str, object]) -> int:
    return sum(_values(value) if isinstance(value, dict) else 1 for value in data.values())


def moved(minutes: float, interval: float) -> float:
    """Observe for a while as healthd does, and return how many values were other ones than a sample before."""

    async def observed() -> list[int]:
        runner = observe.Runner(observe.collectors(), observe.roots(), interval, SystemClock())
        found, known, end = [], {}, time.monotonic() + 60 * minutes
        async for _ in runner.ticks():
            count = 0
            for observation in (await runner.sample()).observations:
                for instance, reading in observation.readings.items():
                    address = observation.family.name, instance
                    count += changed(known.get(address), reading)
                    known[address] = reading
            found.append(count)
            if time.monotonic() > end:
                return found
        return found

    counts = asyncio.run(observed())[2:]
    return sum(counts) / len(counts)


def changed(before: Reading | None, after: Reading) -> int:
    """Return how many values differ, each core's for itself."""
    if before is None:
        return 0
    values = [(getattr(before, metric.name), getattr(after, metric.name)) for metric in after.metrics]
    return sum(
        sum(map(operator.ne, old, new)) if isinstance(old, tuple) and isinstance(new, tuple) else old != new
        for old, new in values
    )


def measure(minutes: float, interval: float, *, idle: bool) -> list[str]:
    """Record for a while, and return the row of what that wrote."""
    with device() as (mount, loop), Bus() as bus:
        time.sleep(_SETTLE)
        before, began = sectors(loop), time.monotonic()
        daemon = bus.healthd(interval, "", "--record", mount)
        time.sleep(_SETTLE)
        started = sectors(loop)
        load = None if idle else subprocess.Popen([sys.executable, "-m", "bench.load"], stdin=subprocess.DEVNULL)
        try:
            found = moved(minutes, interval)
            time.sleep(_SETTLE)
            written, seconds = sectors(loop) - started, time.monotonic() - began
        finally:
            if load:
                end(load)
            end(daemon)
        size, lines, cycles, values = recorded(mount)
        start = (started - before) * _SECTOR
        daily = written * _SECTOR / (60 * minutes) * _DAY + start * _DAY / Keeping().segment
        return [
            "idle" if idle else "under load",
            number(found, 1),
            number(values / cycles, 1),
            number(lines / cycles, 1),
            number(size / seconds * _DAY / 1e6, 1),
            number(start / 1e3),
            number(daily / 1e6, 1),
        ]


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--minutes", type=float, default=30.0)
    arguments.add_argument("--interval", type=float, default=5.0)
    arguments.add_argument("--idle", action="store_true", help="without the load")
    chosen = arguments.parse_args()
    # Whoever ends it early shall find nothing mounted.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    head = [
        "",
        "values that changed a cycle",
        "values recorded a cycle",
        "events a cycle",
        "MB recorded a day",
        "kB to the device at start",
        "MB to the device a day",
    ]
    print(machine())
    print(table(head, [measure(chosen.minutes, chosen.interval, idle=chosen.idle)]))


if __name__ == "__main__":
    main()
