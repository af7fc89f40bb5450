"""The `pressure` family: how long tasks are held up for want of a resource (PSI)."""

import errno
import re
from collections.abc import Mapping
from typing import Any

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.model import PRESSURE, SINGLE, Reading, Unit, counter, family, gauge
from healthd.observe._files import File, Roots


def _share(kind: str, what: str, seconds: int) -> float | None:
    share: float | None = gauge(
        Unit.PERCENT,
        f"Time in which {what}, as a share of the last {seconds} s ({kind} avg{seconds}).",
        band=PRESSURE,
    )
    return share


_CPU = "some task waited for a CPU"
_MEMORY = "some task waited for memory"
_MEMORIES = "every task that had work waited for memory"
_IO = "some task waited for I/O"
_IOS = "every task that had work waited for I/O"
_IRQ = "interrupts held up every task that had work"


@family("pressure", source="/proc/pressure")
class Pressure(Reading):
    """How long tasks are held up for want of CPU, memory or I/O, from `/proc/pressure` (kernel: accounting/psi).

    The fields stand in the order of the kernel's lines. A kernel without interrupt accounting has no `irq`.
    """

    cpu_some_avg10: float | None = _share("cpu: some", _CPU, 10)
    cpu_some_avg60: float | None = _share("cpu: some", _CPU, 60)
    cpu_some_avg300: float | None = _share("cpu: some", _CPU, 300)
    cpu_some_usec: int | None = counter(Unit.USEC, f"Time since boot in which {_CPU} (cpu: some total).")
    memory_some_avg10: float | None = _share("memory: some", _MEMORY, 10)
    memory_some_avg60: float | None = _share("memory: some", _MEMORY, 60)
    memory_some_avg300: float | None = _share("memory: some", _MEMORY, 300)
    memory_some_usec: int | None = counter(Unit.USEC, f"Time since boot in which {_MEMORY} (memory: some total).")
    memory_full_avg10: float | None = _share("memory: full", _MEMORIES, 10)
    memory_full_avg60: float | None = _share("memory: full", _MEMORIES, 60)
    memory_full_avg300: float | None = _share("memory: full", _MEMORIES, 300)
    memory_full_usec: int | None = counter(Unit.USEC, f"Time since boot in which {_MEMORIES} (memory: full total).")
    io_some_avg10: float | None = _share("io: some", _IO, 10)
    io_some_avg60: float | None = _share("io: some", _IO, 60)
    io_some_avg300: float | None = _share("io: some", _IO, 300)
    io_some_usec: int | None = counter(Unit.USEC, f"Time since boot in which {_IO} (io: some total).")
    io_full_avg10: float | None = _share("io: full", _IOS, 10)
    io_full_avg60: float | None = _share("io: full", _IOS, 60)
    io_full_avg300: float | None = _share("io: full", _IOS, 300)
    io_full_usec: int | None = counter(Unit.USEC, f"Time since boot in which {_IOS} (io: full total).")
    irq_full_avg10: float | None = _share("irq: full", _IRQ, 10)
    irq_full_avg60: float | None = _share("irq: full", _IRQ, 60)
    irq_full_avg300: float | None = _share("irq: full", _IRQ, 300)
    irq_full_usec: int | None = counter(Unit.USEC, f"Time since boot in which {_IRQ} (irq: full total).")


_FIELDS = [metric.name for metric in Pressure.metrics]
_OFF = (errno.ENOENT, errno.EOPNOTSUPP)
_REMEDY = (
    "add psi=1 to the kernel command line (on a Raspberry Pi in /boot/firmware/cmdline.txt, "
    "elsewhere in the boot loader's configuration; for a container, on its host) and reboot"
)
# The line break shows that the total is whole.
_LINE = rb"^%s avg10=(\d{1,3}\.\d\d) avg60=(\d{1,3}\.\d\d) avg300=(\d{1,3}\.\d\d) total=(\d{1,20})\n"
SOME = re.compile(_LINE % b"some", re.MULTILINE)
FULL = re.compile(_LINE % b"full", re.MULTILINE)


def parse(content: bytes, line: re.Pattern[bytes]) -> tuple[float, float, float, int]:
    """Read the line `SOME` or `FULL` of a file below `/proc/pressure`: three shares in percent and the total in µs.

    Raises Unobserved where there is no such line, or a share is over 100.
    """
    match = line.search(content)
    if match is None:
        raise Unobserved(protocol.MALFORMED, "a file below /proc/pressure lacks a line that it should have")
    avg10, avg60, avg300 = [round(float(share), 1) for share in match.group(1, 2, 3)]
    if max(avg10, avg60, avg300) > 100.0:
        raise Unobserved(protocol.MALFORMED, "a file below /proc/pressure has a share over 100 %")
    return avg10, avg60, avg300, int(match[4])


class PressureCollector:
    """Reads the files of `/proc/pressure`."""

    reading = Pressure

    def __init__(self, roots: Roots) -> None:
        self._cpu = roots.proc.file("pressure/cpu")
        self._memory = roots.proc.file("pressure/memory")
        self._io = roots.proc.file("pressure/io")
        self._irq: File | None = roots.proc.file("pressure/irq")

    def collect(self, now: Instant) -> Mapping[str, Reading]:  # noqa: ARG002 - the kernel has the means ready
        """Return one reading."""
        try:
            cpu, memory, io = self._cpu.attribute(), self._memory.attribute(), self._io.attribute()
        except OSError as error:
            if error.errno not in _OFF:
                raise
            raise Unobserved(protocol.UNSUPPORTED, "the kernel does not measure pressure", _REMEDY) from error
        values: tuple[Any, ...] = (
            *parse(cpu, SOME),
            *parse(memory, SOME),
            *parse(memory, FULL),
            *parse(io, SOME),
            *parse(io, FULL),
            *self._interrupts(),
        )
        return {SINGLE: Pressure(**dict(zip(_FIELDS, values, strict=True)))}

    def _interrupts(self) -> tuple[float | None, float | None, float | None, int | None]:
        if self._irq is not None:
            try:
                return parse(self._irq.attribute(), FULL)
            except OSError as error:
                if error.errno not in _OFF:
                    raise
                # It does not come before the next boot.
                self._irq = None
        return None, None, None, None


COLLECTOR = PressureCollector
