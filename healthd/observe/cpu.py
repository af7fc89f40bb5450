"""The `cpu` family: what the processors do, together and one by one."""

import json
from collections.abc import Iterable, Mapping, Sequence
from math import inf, nan
from operator import sub
from typing import NamedTuple

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.model import SINGLE, Reading, Unit, family, gauge, state
from healthd.observe._files import File, Roots, Tree
from healthd.observe._rates import Rates
from healthd.observe._shares import percent, shares


@family("cpu", event="system.cpu.usage.updated")
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
    core_busy: tuple[float, ...] | None = gauge(Unit.PERCENT, "Busy, of each CPU by its number.", live=True)
    frequency_hertz: float | None = gauge(
        Unit.HERTZ, "Mean of what the CPUs run at (scaling_cur_freq); read every 30 s."
    )
    core_frequency_hertz: tuple[float, ...] | None = gauge(
        Unit.HERTZ, "What each CPU runs at, by its number (scaling_cur_freq); read every 30 s.", live=True
    )


_IDLE, _IOWAIT = 3, 4
_MOST_CPUS = 1 << 16
_ALPHABET = b"0123456789 \ncpu"
_COMMAS = bytes.maketrans(b" \n", b",,")
# Reading a frequency may interrupt the core.
_FREQUENCY_EVERY = 30.0


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
        table = json.loads(f"[{rest.translate(_COMMAS, b'cpu').decode()}]")
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


class Frequencies:
    """What the CPUs run at, from `/sys/devices/system/cpu/cpufreq` (kernel: admin-guide/pm/cpufreq)."""

    def __init__(self, sys: Tree) -> None:
        self._sys = sys
        self._policies: list[tuple[File, list[int]]] = []
        self._online: list[int] = []
        self._due = -inf
        self._latest: dict[int, float] = {}

    def read(self, now: Instant, online: list[int]) -> dict[int, float]:
        """Return hertz by CPU number, read anew every 30 s; CPUs of which nothing is known are left out."""
        if now.since_boot >= self._due:
            self._due = now.since_boot + _FREQUENCY_EVERY
            if not self._policies or online != self._online:
                self._policies, self._online = self._find(), online
            found = {cpu: hertz for file, cpus in self._policies for hertz in self._hertz(file) for cpu in cpus}
            self._latest = {cpu: found[cpu] for cpu in online if cpu in found}
        return self._latest

    def _find(self) -> list[tuple[File, list[int]]]:
        base = "devices/system/cpu/cpufreq"
        try:
            policies = [f"{base}/{name}" for name in self._sys.names(base) if name.startswith("policy")]
        except PermissionError:  # hidden from us: unknown, and no reason to lose the shares
            return []
        return [
            (self._sys.file(f"{policy}/scaling_cur_freq"), _listed(self._sys.text(f"{policy}/affected_cpus", "")))
            for policy in policies
        ]

    def _hertz(self, file: File) -> list[float]:
        try:
            khz = file.text()
        except OSError:  # the CPU went offline
            return []
        return [int(khz) * 1000.0] if _is_number(khz) and int(khz) else []


def _listed(cpus: str) -> list[int]:
    return [int(cpu) for cpu in cpus.split() if _is_number(cpu)]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10


class CpuCollector:
    """Reads `/proc/stat` and the frequencies."""

    reading = Cpu

    def __init__(self, roots: Roots) -> None:
        self._stat = roots.proc.file("stat")
        self._frequencies = Frequencies(roots.sys)
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
            core_busy=per_core,
            frequency_hertz=round(sum(hertz.values()) / len(hertz), 0) if hertz else None,
            core_frequency_hertz=spread([*hertz], hertz.values()) if hertz else None,
        )
        return {SINGLE: reading}


COLLECTOR = CpuCollector
