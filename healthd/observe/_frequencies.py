"""What the CPUs run at, from `/sys/devices/system/cpu/cpufreq` (kernel: admin-guide/pm/cpufreq)."""

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

    current: File
    limit: str
    """The file that tells what they may run at now at most."""
    cpus: list[int]
    least: float | None
    """Between what they can run, hertz."""
    most: float | None


class Frequencies:
    """What the CPUs run at, and may."""

    def __init__(self, sys: Tree) -> None:
        self.span = Span()
        self._sys = sys
        self._policies: list[Policy] = []
        """The fastest first."""
        self._online: list[int] = []
        self._due = -inf
        self._latest: dict[int, float] = {}

    def read(self, now: Instant, online: list[int]) -> dict[int, float]:
        """Return hertz by CPU number, read anew every 30 s; CPUs of which nothing is known are left out."""
        if now.since_boot >= self._due:
            self._due = now.since_boot + EVERY
            if not self._policies or online != self._online:
                self._policies, self._online = self._find(), online
                least = [policy.least for policy in self._policies if policy.least]
                most = [policy.most for policy in self._policies if policy.most]
                self.span = Span(min(least, default=None), max(most, default=None))
            self.span = self.span._replace(limit=self._limit())
            found = {
                cpu: hertz for policy in self._policies if (hertz := _hertz(policy.current)) for cpu in policy.cpus
            }
            self._latest = {cpu: found[cpu] for cpu in online if cpu in found}
        return self._latest

    def _find(self) -> list[Policy]:
        try:
            paths = [f"{_BASE}/{name}" for name in self._sys.names(_BASE) if name.startswith("policy")]
        except PermissionError:  # hidden from us: unknown, and no reason to lose the shares
            return []
        found = [policy for path in paths if (policy := self._policy(path)).cpus]
        return sorted(found, key=lambda policy: policy.most or 0.0, reverse=True)

    def _policy(self, path: str) -> Policy:
        return Policy(
            current=self._sys.file(f"{path}/scaling_cur_freq"),
            limit=f"{path}/scaling_max_freq",
            cpus=[int(cpu) for cpu in self._sys.text(f"{path}/affected_cpus", "").split() if _is_number(cpu.encode())],
            least=_hertz(self._sys.file(f"{path}/cpuinfo_min_freq")),
            most=_hertz(self._sys.file(f"{path}/cpuinfo_max_freq")),
        )

    def _limit(self) -> float | None:
        """Return the highest that any CPU may run at: the first to tell that it may run at the most there is decides.

        The files are not kept open, or they would be many.
        """
        highest = None
        for policy in self._policies:
            limit = _hertz(self._sys.file(policy.limit))
            if limit and limit > (highest or 0.0):
                highest = limit
                if highest >= (self.span.most or inf):
                    break
        return highest


def _hertz(file: File) -> float | None:
    try:
        khz = file.attribute().strip()
    except OSError:  # the CPU went offline, or there is no such limit
        return None
    return int(khz) * 1000.0 or None if _is_number(khz) else None


def _is_number(text: bytes) -> bool:
    return text.isdigit() and len(text) <= 10
