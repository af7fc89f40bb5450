"""The `cpu` family: what the processors do, together and one by one."""

import json
from collections.abc import Iterable, Mapping, Sequence
from math import nan
from operator import sub
from typing import NamedTuple

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.model import SINGLE, Reading, Unit, family, gauge, state
from healthd.observe._files import Roots
from healthd.observe._frequencies import Frequencies
from healthd.observe._limits import CpuLimit
from healthd.observe._rates import Rates
from healthd.observe._shares import percent, shares


@family("cpu", event="system.cpu.usage.updated", source="/proc/stat, /sys/devices/system/cpu/cpufreq, /sys/fs/cgroup")
class Cpu(Reading):
    """What the processors did since the sample before, from `/proc/stat` (kernel: filesystems/proc) and cpufreq.

    The eight shares sum to 100. Time of virtual guests is inside `user` and `nice`. Values per core stand at
    the CPU's number; one that is offline, or of which nothing is known, is NaN.
    """

    user: float | None = gauge(Unit.PERCENT, "Programs (user).")
    nice: float | None = gauge(Unit.PERCENT, "Programs of low priority (nice).")
    system: float | None = gauge(Unit.PERCENT, "The kernel on behalf of programs (system).")
    idle: float | None = gauge(Unit.PERCENT, "Nothing to do (idle).")
    iowait: float | None = gauge(Unit.PERCENT, "Nothing to do while some task waits for I/O (iowait).")
    irq: float | None = gauge(Unit.PERCENT, "Interrupts (irq).")
    softirq: float | None = gauge(Unit.PERCENT, "Deferred work of interrupts (softirq).")
    steal: float | None = gauge(Unit.PERCENT, "Ready to run while the hypervisor ran something else (steal).")
    busy: float | None = gauge(Unit.PERCENT, "All but idle and iowait.")
    online: int | None = state("CPUs that are in use (lines cpuN of /proc/stat).", Unit.COUNT)
    limit_cpus: float | None = state(
        "How many CPUs' time this container may use (cpu.max of its cgroup); unknown where nothing limits it.",
        Unit.COUNT,
    )
    limit_percent: float | None = gauge(Unit.PERCENT, "What the container uses, as a share of that.")
    core_busy: tuple[float, ...] | None = gauge(Unit.PERCENT, "Busy, of each CPU by its number.", live=True)
    frequency_hertz: float | None = gauge(
        Unit.HERTZ, "Mean of what the CPUs run at (scaling_cur_freq); read every 30 s."
    )
    core_frequency_hertz: tuple[float, ...] | None = gauge(
        Unit.HERTZ, "What each CPU runs at, by its number (scaling_cur_freq); read every 30 s.", live=True
    )
    frequency_min_hertz: float | None = state("The lowest that a CPU can run at (cpuinfo_min_freq).", Unit.HERTZ)
    frequency_max_hertz: float | None = state("The highest that a CPU can run at (cpuinfo_max_freq).", Unit.HERTZ)
    frequency_limit_hertz: float | None = state(
        "The highest that a CPU may run at now (scaling_max_freq): heat or people set it lower; read every 30 s.",
        Unit.HERTZ,
    )


_IDLE, _IOWAIT = 3, 4
_MOST_CPUS = 1 << 16
_ALPHABET = b"0123456789 \ncpu"
_NUMBERS = json.JSONDecoder()
_COMMAS = bytes.maketrans(b" \n", b",,")


class Cores(NamedTuple):
    """Time of each online CPU since boot, in ticks."""

    cpus: list[int]
    """Their numbers."""
    busy: list[int]
    idle: list[int]
    iowait: list[int]


def parse(stat: bytes) -> tuple[list[int], Cores]:
    """Read the lines `cpu…` of `/proc/stat`: user to steal of all CPUs together, in ticks, and each CPU's time.

    Raises Unobserved where they are not as the kernel writes them, or not followed by the line `intr`.
    """
    block = stat[: max(stat.find(b"\nintr "), 0)]
    head, _, rest = block.partition(b"\n")
    words = head.split()
    # A sign is not in the alphabet: the counters are unsigned.
    if len(words) < 9 or words[0] != b"cpu" or block.translate(None, _ALPHABET):
        raise Unobserved(protocol.MALFORMED, "/proc/stat has no whole table of CPUs")
    try:
        total = list(map(int, words[1:9]))
        # Nothing in the standard library reads so many numbers faster.
        table, _ = _NUMBERS.raw_decode(f"[{rest.translate(_COMMAS, b'cpu').decode()}]")
    except ValueError as error:
        raise Unobserved(protocol.MALFORMED, "/proc/stat has no number where one belongs") from error
    if len(table) != len(words) * block.count(b"\ncpu") or max(total) >= 1 << 64:
        raise Unobserved(protocol.MALFORMED, "/proc/stat has rows of different length, or a counter over 64 bits")
    cpus, user, nice, system, idle, iowait, irq, softirq, steal = (table[column :: len(words)] for column in range(9))
    busy = list(map(sum, zip(user, nice, system, irq, softirq, steal, strict=True)))
    return total, Cores(cpus, busy, idle, iowait)


def plausible(cpus: list[int]) -> list[int]:
    """Return the numbers of CPUs.

    Raises Unobserved where one is there twice, or beyond any machine.
    """
    if len(set(cpus)) != len(cpus) or max(cpus, default=0) >= _MOST_CPUS:
        raise Unobserved(protocol.MALFORMED, "/proc/stat has a CPU without a number of its own")
    return cpus


def steps(deltas: Sequence[int]) -> list[int] | None:
    """Return what passed in each of the eight states; `None` after a reset.

    Idle and iowait are estimates of the kernel that may go backwards a little: they count as nothing.
    """
    passed = [*deltas]
    for state_of_rest in (_IDLE, _IOWAIT):
        passed[state_of_rest] = max(passed[state_of_rest], 0)
    return passed if min(passed) >= 0 else None


def core_shares(before: Cores, after: Cores) -> list[float]:
    """Return how busy each CPU of `after` was, in percent; NaN where that is not known."""
    if before.cpus != after.cpus:
        before = _aligned(before, after)
    found = []
    for busy, idle, iowait in zip(
        map(sub, after.busy, before.busy),
        map(sub, after.idle, before.idle),
        map(sub, after.iowait, before.iowait),
        strict=True,
    ):
        # Calls of max() and round() would cost more than all the rest.
        whole = busy + (idle if idle > 0 else 0) + (iowait if iowait > 0 else 0)  # noqa: FURB136
        found.append((2000 * busy + whole) // (2 * whole) / 10 if busy >= 0 and whole else nan)
    return found


def _aligned(before: Cores, after: Cores) -> Cores:
    """Return `before` for the CPUs of `after`; one that has just come gets its present time: nothing passed."""
    known = dict(zip(before.cpus, zip(*before[1:], strict=True), strict=True))
    rows = [known.get(cpu, now) for cpu, now in zip(after.cpus, zip(*after[1:], strict=True), strict=True)]
    busy, idle, iowait = ([row[column] for row in rows] for column in range(3))
    return Cores(after.cpus, busy, idle, iowait)


def spread(cpus: Sequence[int], values: Iterable[float]) -> tuple[float, ...]:
    """Put each value at its CPU's number, and NaN into the holes."""
    if cpus == list(range(len(cpus))):
        return tuple(values)
    table = [nan] * (max(cpus) + 1)
    for cpu, value in zip(cpus, values, strict=True):
        table[cpu] = value
    return tuple(table)


class CpuCollector:
    """Reads `/proc/stat` and the frequencies."""

    reading = Cpu

    def __init__(self, roots: Roots) -> None:
        self._stat = roots.proc.file("stat")
        self._frequencies = Frequencies(roots.sys)
        self._limit = CpuLimit(roots.sys)
        self._rates = Rates()
        self._before = Cores([], [], [], [])

    def collect(self, now: Instant) -> Mapping[str, Reading]:
        """Return one reading."""
        total, cores = parse(self._stat.read())
        online = cores.cpus if cores.cpus == self._before.cpus else plausible(cores.cpus)
        step = self._rates.deltas(SINGLE, now, total)
        passed = steps(step[1]) if step else None
        parts: Sequence[float | None] = (shares(passed) if passed else None) or (None,) * 8
        busy = percent(sum(passed) - passed[_IDLE] - passed[_IOWAIT], sum(passed)) if passed else None
        per_core = spread(online, core_shares(self._before, cores)) if passed and online else None
        self._before = cores
        hertz = self._frequencies.read(now, online)
        user, nice, system, idle, iowait, irq, softirq, steal = parts
        limit = self._limit.read(now)
        reading = Cpu(
            user=user,
            nice=nice,
            system=system,
            idle=idle,
            iowait=iowait,
            irq=irq,
            softirq=softirq,
            steal=steal,
            busy=busy,
            online=len(online) or None,
            limit_cpus=limit[0] if limit else None,
            limit_percent=self._limited(now, *limit) if limit else None,
            core_busy=per_core,
            frequency_hertz=round(sum(hertz.values()) / len(hertz), 0) if hertz else None,
            core_frequency_hertz=spread([*hertz], hertz.values()) if hertz else None,
            frequency_min_hertz=self._frequencies.span.least,
            frequency_max_hertz=self._frequencies.span.most,
            frequency_limit_hertz=self._frequencies.span.limit,
        )
        return {SINGLE: reading}

    def _limited(self, now: Instant, cpus: float, used: int) -> float | None:
        """Return which share of its limit a container used; unused time of before may make it a little more."""
        step = self._rates.deltas("limit", now, [used])
        if step is None or step[1][0] < 0:
            return None
        return min(percent(step[1][0] / 1e6, step[0] * cpus) or 0.0, 100.0)


COLLECTOR = CpuCollector
