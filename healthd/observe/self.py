"""The `self` family: what healthd itself costs this machine."""

import os
from collections.abc import Mapping

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.model import SINGLE, Band, Reading, Unit, family, gauge, state
from healthd.observe._files import File, Roots
from healthd.observe._oversight import Oversight
from healthd.observe._rates import Rates


@family("self", every=60.0, source="/proc/self/stat, /proc/self/statm, /proc/self/status")
class Self(Reading):
    """What healthd itself uses, from `/proc/self` (proc_pid_stat(5), proc_pid_statm(5), proc_pid_status(5))."""

    cpu: float | None = gauge(
        Unit.PERCENT, "CPU time of all its threads as a share of one CPU (utime and stime of stat).", digits=2
    )
    resident_bytes: int | None = gauge(
        Unit.BYTES,
        "Memory that it holds, what it shares with others included (resident of statm).",
        band=Band(absolute=1024.0 * 1024.0, relative=0.05),
    )
    threads: int | None = state(
        "Its threads: the one that does the work, and those for what can block (num_threads of stat).", Unit.COUNT
    )
    wakeups_per_second: float | None = gauge(
        Unit.PER_SECOND,
        "How often its main thread woke up, having waited (voluntary_ctxt_switches of status).",
        digits=2,
    )
    late_samples: int | None = state("How many samples came more than an interval late since it runs.", Unit.COUNT)
    failing_families: int | None = state(
        "How many families could not be observed at all when last tried, for a fault: what failed, was malformed or "
        "did not answer in time.",
        Unit.COUNT,
    )


_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGESIZE")
_WAITED = b"\nvoluntary_ctxt_switches:"


class SelfCollector:
    """Reads three small files of this process, and tells how observing goes."""

    reading = Self

    def __init__(self, roots: Roots) -> None:
        self.oversight = Oversight()
        self._files = [roots.proc.file(f"self/{name}") for name in ("stat", "statm", "status")]
        self._rates = Rates()
        self._told: frozenset[str] = frozenset()

    def changed(self) -> bool:
        """Tell whether other families fail than was told."""
        return self.oversight.failing != self._told

    def collect(self, now: Instant) -> Mapping[str, Reading]:
        """Return one reading."""
        self._told = self.oversight.failing
        stat, statm, status = map(_read, self._files)
        try:
            # The name of the process is in parentheses, and may hold anything.
            fields = stat.rpartition(b")")[2].split()
            ticks, threads = int(fields[11]) + int(fields[12]), int(fields[17])
            resident = int(statm.split()[1]) * _PAGE
            waited = int(status.partition(_WAITED)[2].split()[0])
        except (ValueError, IndexError):
            raise Unobserved(protocol.MALFORMED, "the files of /proc/self are not as proc(5) has them") from None
        used, wakeups = self._rates.per_second(SINGLE, now, (ticks, waited), digits=6)
        reading = Self(
            cpu=None if used is None else min(round(100 * used / _TICK, 2), 100.0),
            resident_bytes=resident,
            threads=threads,
            wakeups_per_second=None if wakeups is None else round(wakeups, 2),
            late_samples=self.oversight.late,
            failing_families=len(self.oversight.failing),
        )
        return {SINGLE: reading}


def _read(file: File) -> bytes:
    try:
        return file.read()
    except FileNotFoundError as error:
        raise Unobserved(protocol.UNSUPPORTED, f"there is no {file.path}: it tells of healthd alone") from error


COLLECTOR = SelfCollector
