"""What the CPUs run at, from `/sys/devices/system/cpu/cpufreq` (kernel: admin-guide/pm/cpufreq)."""

from collections.abc import Iterable
from math import inf
from typing import NamedTuple

from healthd.clock import Instant
from healthd.observe._files import File, Tree

# Reading a frequency may interrupt the core.
EVERY = 30.0
_BASE = "devices/system/cpu/cpufreq"


class Span(NamedTuple):
    """Between what the CPUs run, of all of them, hertz; `None` where that is unknown."""

    least: float | None = None
    most: float | None = None
    limit: float | None = None
    """What they may run at now at most."""


class Policy(NamedTuple):
    """CPUs that have one clock, or one governor."""

    path: str
    current: File
    cpus: list[int]


class Frequencies:
    """What the CPUs run at, and may."""

    def __init__(self, sys: Tree) -> None:
        self.span = Span()
        self._sys = sys
        self._policies: list[Policy] = []
        self._online: list[int] = []
        self._due = -inf
        self._latest: dict[int, float] = {}

    def read(self, now: Instant, online: list[int]) -> dict[int, float]:
        """Return hertz by CPU number, read anew every 30 s; CPUs of which nothing is known are left out."""
        if now.since_boot >= self._due:
            self._due = now.since_boot + EVERY
            if not self._policies or online != self._online:
                self._policies, self._online = self._find(), online
                least, most = self._all("cpuinfo_min_freq"), self._all("cpuinfo_max_freq")
                self.span = Span(min(least, default=None), max(most, default=None))
            self.span = self.span._replace(limit=max(self._all("scaling_max_freq"), default=None))
            found = {cpu: hertz for policy in self._policies for hertz in _hertz(policy.current) for cpu in policy.cpus}
            self._latest = {cpu: found[cpu] for cpu in online if cpu in found}
        return self._latest

    def _find(self) -> list[Policy]:
        try:
            paths = [f"{_BASE}/{name}" for name in self._sys.names(_BASE) if name.startswith("policy")]
        except PermissionError:  # hidden from us: unknown, and no reason to lose the shares
            return []
        return [Policy(path, self._sys.file(f"{path}/scaling_cur_freq"), self._cpus(path)) for path in paths]

    def _cpus(self, path: str) -> list[int]:
        return [int(cpu) for cpu in self._sys.text(f"{path}/affected_cpus", "").split() if _is_number(cpu)]

    def _all(self, name: str) -> list[float]:
        """Return what all policies with a CPU online say; the files are not kept open, or they would be many."""
        files = (self._sys.file(f"{policy.path}/{name}") for policy in self._policies if policy.cpus)
        return [hertz for file in files for hertz in _hertz(file)]


def _hertz(file: File) -> Iterable[float]:
    try:
        khz = file.text()
    except OSError:  # the CPU went offline, or there is no such limit
        return []
    return [int(khz) * 1000.0] if _is_number(khz) and int(khz) else []


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10
