"""What a container may use: the limits of the cgroup that is the root of what is seen here.

Sources: `/sys/fs/cgroup` (kernel: admin-guide/cgroup-v2, cgroup-v1). The machine's own root has no such files, or no
limit in them: what is found is a container's.
"""

from collections.abc import Mapping
from math import inf
from typing import NamedTuple

from healthd.clock import Instant
from healthd.observe._files import Tree

EVERY = 60.0
"""How often it is looked whether there is another limit, seconds."""
_UNLIMITED = 1 << 62
_V2, _V1 = "fs/cgroup", "fs/cgroup/memory"


class Held(NamedTuple):
    """What a container has of memory, bytes."""

    limit: int
    used: int
    reclaimable: int
    """Of what is used: page cache and slab that can be had back."""
    cached: int
    """Page cache, with shared memory, and reclaimable slab."""
    shared: int
    swap_limit: int | None
    """`None` where that is not limited, or not known."""
    swap_used: int | None
    oom_kills: int | None
    """Processes that were killed because of the limit, since the container began."""


class MemoryLimit:
    """The limit of memory, and what is used of it."""

    def __init__(self, sys: Tree) -> None:
        self._sys = sys
        self._due = -inf
        self._place = _V2
        self._limit: int | None = None

    def read(self, now: Instant) -> Held | None:
        """Return what is used, `None` where there is no limit."""
        if now.since_boot >= self._due:
            self._due = now.since_boot + EVERY
            self._limit = self._found()
        if self._limit is None:
            return None
        return self._second(self._limit) if self._place == _V2 else self._first(self._limit)

    def _found(self) -> int | None:
        self._place = _V2 if self._sys.exists(f"{_V2}/memory.max") else _V1
        limit = self._sys.number(f"{_V2}/memory.max" if self._place == _V2 else f"{_V1}/memory.limit_in_bytes")
        return limit if limit is not None and 0 < limit < _UNLIMITED else None

    def _second(self, limit: int) -> Held | None:
        used, stat = self._sys.number(f"{_V2}/memory.current"), self._keyed(f"{_V2}/memory.stat")
        slab = stat.get("slab_reclaimable", 0)
        if used is None or "file" not in stat:
            return None
        return Held(
            limit=limit,
            used=used,
            reclaimable=stat.get("active_file", 0) + stat.get("inactive_file", 0) + slab,
            cached=stat["file"] + slab,
            shared=stat.get("shmem", 0),
            swap_limit=self._sys.number(f"{_V2}/memory.swap.max"),
            swap_used=self._sys.number(f"{_V2}/memory.swap.current"),
            oom_kills=self._keyed(f"{_V2}/memory.events").get("oom_kill"),
        )

    def _first(self, limit: int) -> Held | None:
        used, stat = self._sys.number(f"{_V1}/memory.usage_in_bytes"), self._keyed(f"{_V1}/memory.stat")
        if used is None or "total_cache" not in stat:
            return None
        return Held(
            limit=limit,
            used=used,
            reclaimable=stat.get("total_active_file", 0) + stat.get("total_inactive_file", 0),
            cached=stat["total_cache"],
            shared=stat.get("total_shmem", 0),
            swap_limit=None,
            swap_used=stat.get("total_swap"),
            oom_kills=self._keyed(f"{_V1}/memory.oom_control").get("oom_kill"),
        )

    def _keyed(self, relative: str) -> Mapping[str, int]:
        return keyed(self._sys.text(relative, ""))


class CpuLimit:
    """The limit of processor time, and what was used."""

    def __init__(self, sys: Tree) -> None:
        self._sys = sys
        self._due = -inf
        self._cpus: float | None = None

    def read(self, now: Instant) -> tuple[float, int] | None:
        """Return how many CPUs' time may be used, and µs used since the container began; `None` without a limit."""
        if now.since_boot >= self._due:
            self._due = now.since_boot + EVERY
            self._cpus = self._found()
        used = self._used() if self._cpus else None
        return (self._cpus, used) if self._cpus and used is not None else None

    def _found(self) -> float | None:
        words = self._sys.text("fs/cgroup/cpu.max", "").split()
        if not words:
            words = [self._sys.text(f"fs/cgroup/cpu/cpu.cfs_{what}_us", "") for what in ("quota", "period")]
        if len(words) != 2 or not all(word.isascii() and word.isdigit() for word in words):
            return None
        quota, period = map(int, words)
        return round(quota / period, 3) or None if period else None

    def _used(self) -> int | None:
        used = keyed(self._sys.text("fs/cgroup/cpu.stat", "")).get("usage_usec")
        if used is None and (nanoseconds := self._sys.number("fs/cgroup/cpuacct/cpuacct.usage")) is not None:
            used = nanoseconds // 1000
        return used


def keyed(text: str) -> dict[str, int]:
    """Read a file of cgroups that has a key and a number on each line; lines that are otherwise are left out."""
    pairs = [line.split() for line in text.splitlines()]
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isascii() and pair[1].isdigit()}
