"""A recorded machine on which healthd runs: its files, what system calls answered there, and five seconds of work."""

import asyncio
import json
import os
import shutil
import threading
import tomllib
from collections.abc import Callable, Mapping
from functools import partialmethod
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from lively import made_of
from pi_firmware import Firmware

import healthd
from healthd import observe
from healthd.clock import Instant
from healthd.description import describe
from healthd.errors import Unobserved
from healthd.health.judge import Judge
from healthd.model import Snapshot
from healthd.observe import CollectorType, Runner, _runner
from healthd.observe._asking import nobody
from healthd.observe.clock import Timex
from healthd.pipeline import Pipeline
from healthd.publish.bus.answers import Answers
from healthd.state.history import History
from healthd.state.store import Store

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURES = os.path.join(os.path.dirname(HERE), "fixtures")
MACHINES = sorted(os.listdir(FIXTURES))
FAMILIES = {family.name: family for family in observe.families(observe.collectors())}
INTERVAL = 5.0
"""What lies between the two samples, seconds."""
with open(os.path.join(os.path.dirname(healthd.__file__), "health", "rules.toml"), "rb") as rules:
    RULES = made_of(tomllib.load(rules))

# What is added in that time to the words of a line, by their places: each CPU does 5 s of work in ticks of 10 ms.
_CPU = {1: 100, 3: 50, 4: 350}
_DISK = {3: 50, 5: 4000, 7: 100, 9: 8000, 12: 500}
_INTERFACE = {1: 500_000, 2: 500, 9: 250_000, 10: 250}
_PAGES = {b"pswpin": {1: 100}, b"pswpout": {1: 200}}
# A container uses three quarters of a CPU.
_USED = {b"usage_usec": {1: 3_750_000}}
_NANOSECONDS = 3_750_000_000


class Replica:
    """A copy of a fixture below `root`; `calls.json` and `statvfs.json` there hold what system calls answered."""

    def __init__(self, name: str, root: str) -> None:
        shutil.copytree(os.path.join(FIXTURES, name), root, symlinks=True, dirs_exist_ok=True)
        self._root = root
        self.roots = observe.roots(f"{root}/proc", f"{root}/sys", f"{root}/etc", root)
        self._calls = self._told("calls.json")
        self._figures = self._told("statvfs.json")
        booted_at = next(float(row[1]) for row in self._rows("proc/stat") if row[0] == b"btime")
        up = float(self._rows("proc/uptime")[0][0])
        self._instants = [Instant(booted_at + up + passed, up + passed, 0.0) for passed in (0.0, INTERVAL)]

    def now(self) -> Instant:
        """Be a clock: the time of the capture, and once more five seconds later."""
        return self._instants.pop(0)

    def collectors(self) -> list[CollectorType]:
        """Return the collectors that ship, each with what it would have been answered there."""
        answers: Mapping[str, Mapping[str, Any]] = {
            "clock": {"asked": lambda: Timex(**self._calls["adjtimex"])},
            "filesystem": {"statvfs": self._statvfs},
            "memory": {"page_size": self._calls.get("page_size", 4096)},
            "throttling": {"ioctl": Firmware(int(self._calls.get("get_throttled", "0"), 16), kernel="plain")},
        }
        return [_answered(each, answers.get(each.reading.family.name)) for each in observe.collectors()]

    def _statvfs(self, path: str) -> SimpleNamespace:
        return SimpleNamespace(**self._figures[path.removeprefix(self._root)])

    async def ask(self, service: str, _path: str, _interface: str, member: str, *body: Any) -> list[Any]:
        """Answer as the services on the machine's bus did, of which only systemd is recorded."""
        told = self._calls.get("systemd")
        if told is None or service != "org.freedesktop.systemd1":
            return await nobody(service)
        if member == "ListUnitsFiltered":
            return [[(unit,) for unit in told["failed"]]]
        if member != "Get":
            raise Unobserved("unsupported", f"nobody has recorded {member}")
        return [told[body[-1]]]

    def work(self) -> None:
        """Let five seconds pass in which every CPU, disk and interface does the same."""
        cpus = sum(row[0].startswith(b"cpu") for row in self._rows("proc/stat")) - 1
        whole = {place: cpus * ticks for place, ticks in _CPU.items()}
        self._grow("proc/stat", lambda name: whole if name == b"cpu" else _CPU if name.startswith(b"cpu") else {})
        self._grow("proc/diskstats", lambda _: _DISK)
        self._grow("proc/net/dev", lambda name: _INTERFACE if name.endswith(b":") else {})
        self._grow("proc/vmstat", lambda name: _PAGES.get(name, {}))
        self._grow("sys/fs/cgroup/cpu.stat", lambda name: _USED.get(name, {}))
        self._grow("sys/fs/cgroup/cpuacct/cpuacct.usage", lambda _: {0: _NANOSECONDS})

    def _grow(self, path: str, more: Callable[[bytes], Mapping[int, int]]) -> None:
        """Add to the words of each line what `more` has for the line's first word."""
        full = f"{self._root}/{path}"
        if not os.path.exists(full):
            return
        with open(full, "rb") as file:
            lines = file.read().splitlines()
        written = []
        for line in lines:
            words = line.split()
            grown = more(words[0]) if words else {}
            for place, by in grown.items():
                words[place] = b"%d" % (int(words[place]) + by)
            written.append((b" ".join(words) if grown else line) + b"\n")
        # At once: who reads meanwhile has the one or the other.
        with open(full, "r+b") as file:
            file.write(b"".join(written))
            file.truncate()

    def _rows(self, path: str) -> list[list[bytes]]:
        with open(f"{self._root}/{path}", "rb") as file:
            return [line.split() for line in file]

    def _told(self, name: str) -> dict[str, Any]:
        with open(f"{self._root}/{name}", encoding="utf-8") as file:
            told: dict[str, Any] = json.load(file)
        return told


def _answered(collector: CollectorType, answers: Mapping[str, Any] | None) -> CollectorType:
    if not answers:
        return collector
    return type(collector.__name__, (collector,), {"__init__": partialmethod(collector.__init__, **answers)})


class Answered(NamedTuple):
    """What healthd answers on such a machine."""

    described: str
    collectors: dict[str, dict[str, Any]]
    metrics: dict[str, dict[str, Any]]


def answered(name: str, root: str) -> Answered:
    """Return what healthd answers on a machine of which there is a fixture; `root` is an empty directory."""
    replica, judge = Replica(name, root), Judge(RULES)
    with pytest.MonkeyPatch.context() as patch:
        # However busy this machine is, nothing is late.
        patch.setattr(_runner, "FIRST_GRACE", 60.0)
        snapshot = asyncio.run(_observed(replica, judge))
    by_name = Answers(FAMILIES.values(), None, dict, judge).by_name
    return Answered(
        describe(snapshot).replace(root, ""),
        json.loads(json.dumps(_plain(by_name["ListCollectors"](snapshot, 0.0, []))).replace(root, "")),
        _plain(by_name["ListMetrics"](snapshot, 0.0, [])),
    )


async def _observed(replica: Replica, judge: Judge) -> Snapshot:
    """Take the two samples with which healthd starts."""
    runner = Runner(replica.collectors(), replica.roots, INTERVAL, replica, replica.ask)
    pipeline = Pipeline(runner, Store(), judge, History(), [])
    await pipeline.cycle()
    for thread in threading.enumerate():
        if thread.name == "observe-wireless":
            thread.join()
    replica.work()
    await pipeline.cycle()
    assert pipeline.snapshot
    assert set(pipeline.snapshot.latest) == set(FAMILIES)
    return pipeline.snapshot


def _plain(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: {key: variant.value for key, variant in row.items()} for name, row in rows.items()}
