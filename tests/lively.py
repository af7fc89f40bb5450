"""A recorded machine that goes on living: its files change from sample to sample, by a seed."""

import os
import random
import re
import shutil
from collections.abc import Callable
from typing import Any

from healthd import observe
from healthd.clock import Instant
from healthd.health.judge import Judge
from healthd.health.rule import Rule, rules
from healthd.model import Publisher
from healthd.observe import Roots, Runner
from healthd.pipeline import Pipeline
from healthd.state.history import History
from healthd.state.store import Store

_FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures")
# Some hold no more than what one family reads.
MACHINES = sorted(
    name for name in os.listdir(_FIXTURES) if os.path.exists(os.path.join(_FIXTURES, name, "proc", "stat"))
)

# Where the counters of a line begin.
_COUNTERS = {"proc/diskstats": 3, "proc/net/dev": 1, "proc/stat": 1, "proc/vmstat": 1}
# What a container uses of memory.
_HELD = ("sys/fs/cgroup/memory.current", "sys/fs/cgroup/memory/memory.usage_in_bytes")


def made_of(tables: dict[str, Any]) -> tuple[Rule, ...]:
    """Return rules of their tables."""
    return rules(observe.families(observe.collectors()), [("rules.toml", tables)])


# What a lively machine does goes back and forth over these, in each of their operators.
RULES = made_of(
    {
        "loaded": {
            "metric": "load.load1",
            "warning": {"enter": "> 0.4", "hold": "5s"},
            "critical": {"enter": "> 0.6", "hold": "5s"},
            "clear_after": "5s",
            "who": "cpu",
            "inhibits": ["pressed"],
        },
        "pressed": {"metric": "pressure.io_some_avg10", "warning": {"enter": "> 10"}, "clear_after": "0s"},
        "hot": {"metric": "sensor.celsius", "notice": {"enter": "> 50"}, "clear_after": "10s"},
        "mean": {
            "metric": "load.load5",
            "operator": "mean",
            "window": "30s",
            "warning": {"enter": "> 0.5"},
            "clear_after": "0s",
        },
        "changes": {
            "metric": "memory.available_bytes",
            "operator": "changes",
            "window": "1min",
            "warning": {"enter": "> 3"},
            "clear_after": "0s",
        },
        "filling": {
            "metric": "memory.available_bytes",
            "operator": "seconds_to_limit",
            "window": "2min",
            "warning": {"enter": "< 1h"},
            "clear_after": "0s",
        },
    }
)


class Machine:
    """A copy of a fixture below `root`; each call of `live` is some seconds of its work."""

    def __init__(self, name: str, root: str, seed: int = 0) -> None:
        shutil.copytree(f"{_FIXTURES}/{name}", root, symlinks=True, dirs_exist_ok=True)
        self._root = root
        self._random = random.Random(seed)
        self._spoiled: dict[str, bytes] = {}
        self._temperatures = [
            os.path.relpath(os.path.join(directory, name), root)
            for directory, _, names in os.walk(f"{root}/sys")
            for name in names
            if re.fullmatch(r"temp\d+_input", name)
        ]

    @property
    def roots(self) -> Roots:
        return observe.roots(f"{self._root}/proc", f"{self._root}/sys", f"{self._root}/etc", self._root)

    def live(self) -> None:
        """Move counters, gauges and temperatures; now and then a file is spoiled, or an interface goes."""
        for path, text in self._spoiled.items():
            self._change(path, lambda _, text=text: text)
        self._spoiled.clear()
        for path, first in _COUNTERS.items():
            self._change(path, lambda text, first=first: self._by_line(text, first))
        self._change("proc/meminfo", self._wavering)
        self._change("proc/spl/kstat/zfs/arcstats", self._giving_back)
        for path in _HELD:
            self._change(path, self._taking)
        self._change(
            "proc/loadavg", lambda _: b"%.2f %.2f %.2f 1/100 1\n" % tuple(self._random.random() for _ in "abc")
        )
        for resource in ("cpu", "io", "memory"):
            self._change(f"proc/pressure/{resource}", self._pressed)
        for path in self._temperatures:
            self._change(path, lambda text: b"%d\n" % (int(text) + self._random.randint(-1500, 1500)))
        for path in ("proc/loadavg", "proc/meminfo", "proc/net/dev", "proc/stat", *self._temperatures):
            if self._random.random() < 0.1:
                self._spoil(path)

    def _spoil(self, path: str) -> None:
        def spoil(text: bytes) -> bytes:
            self._spoiled[path] = text
            lines = text.splitlines(keepends=True)
            return b"".join(lines[:-1]) if path == "proc/net/dev" else b"spoiled\n"

        self._change(path, spoil)

    def _change(self, path: str, change: Callable[[bytes], bytes]) -> None:
        full = f"{self._root}/{path}"
        if os.path.isfile(full):
            with open(full, "r+b") as file:
                text = change(file.read())
                file.seek(0)
                file.write(text)
                file.truncate()

    def _by_line(self, text: bytes, first: int) -> bytes:
        return b"".join(self._grown(line, first) for line in text.splitlines(keepends=True))

    def _grown(self, line: bytes, first: int) -> bytes:
        words = line.split()
        if len(words) <= first or words[0] in (b"btime", b"intr") or not words[first].isdigit():
            return line
        more = self._random.randint(0, 900) if self._random.random() < 0.7 else 0
        return b" ".join([*words[:first], *(b"%d" % (int(word) + more) for word in words[first:])]) + b"\n"

    def _wavering(self, text: bytes) -> bytes:
        return re.sub(
            rb"(MemAvailable|MemFree|Cached|Buffers|Shmem|SwapFree): *(\d+)",
            lambda found: b"%s: %d" % (found[1], int(int(found[2]) * self._random.uniform(0.99, 1.005))),
            text,
        )

    def _giving_back(self, text: bytes) -> bytes:
        size = rb"(?m)^size +4 +(\d+)$"
        return re.sub(size, lambda found: b"size 4 %d" % (int(found[1]) * self._random.uniform(0.99, 1.005)), text)

    def _taking(self, text: bytes) -> bytes:
        return b"%d\n" % (int(text) * self._random.uniform(0.995, 1.01))

    def _pressed(self, text: bytes) -> bytes:
        return re.sub(rb"=\d+\.\d+", lambda _: b"=%.2f" % (self._random.random() * 20), text)


class Ticking:
    """A clock that goes on by an interval, and a little more, at each look."""

    def __init__(self, interval: float, since_boot: float = 100.0, start: float = 1767268800.0) -> None:
        self._interval = interval
        self._random = random.Random(0)
        self.offset = start
        self._since_boot = since_boot
        self._asleep = 0.0

    def now(self) -> Instant:
        instant = Instant(round(self.offset + self._since_boot, 3), round(self._since_boot, 3), self._asleep)
        self._since_boot = (self._since_boot // self._interval + 1) * self._interval + round(
            self._random.random() / 50, 3
        )
        return instant

    def sleep(self, seconds: float) -> None:
        """Let the machine be suspended for a while."""
        self._since_boot += seconds
        self._asleep += seconds


async def record(
    machine: Machine, cycles: int, publishers: list[Publisher], clock: Ticking, interval: float = 5.0
) -> None:
    """Run the whole pipeline on a machine that lives."""
    runner = Runner(observe.collectors(), machine.roots, interval, clock)
    pipeline = Pipeline(runner, Store(), Judge(RULES), History(), publishers)
    for number in range(cycles):
        if number:
            machine.live()
        await pipeline.cycle()
