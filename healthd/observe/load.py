"""The `load` family: how many tasks run or wait."""

import re
from collections.abc import Mapping

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.model import SINGLE, Reading, Unit, family, gauge
from healthd.observe._files import Roots


@family("load", source="/proc/loadavg")
class Load(Reading):
    """How many tasks run, wait for a CPU or sleep uninterruptibly, from `/proc/loadavg` (kernel: filesystems/proc)."""

    load1: float | None = gauge(Unit.LOAD, "Decaying mean over one minute (first number of loadavg).")
    load5: float | None = gauge(Unit.LOAD, "Decaying mean over five minutes (second number of loadavg).")
    load15: float | None = gauge(Unit.LOAD, "Decaying mean over fifteen minutes (third number of loadavg).")


# The space at the end shows that the third number is whole.
_LOADAVG = re.compile(rb"(\d{1,9}\.\d\d) (\d{1,9}\.\d\d) (\d{1,9}\.\d\d) ")


def parse(loadavg: bytes) -> Load:
    """Read the three means of `/proc/loadavg`.

    Raises Unobserved where it does not begin with three numbers of two decimals.
    """
    match = _LOADAVG.match(loadavg)
    if match is None:
        raise Unobserved(protocol.MALFORMED, "/proc/loadavg does not begin with three means")
    load1, load5, load15 = map(float, match.groups())
    return Load(load1=load1, load5=load5, load15=load15)


class LoadCollector:
    """Reads `/proc/loadavg`."""

    reading = Load

    def __init__(self, roots: Roots) -> None:
        self._loadavg = roots.proc.file("loadavg")

    def collect(self, now: Instant) -> Mapping[str, Reading]:  # noqa: ARG002 - the kernel has the means ready
        """Return one reading."""
        return {SINGLE: parse(self._loadavg.attribute())}


COLLECTOR = LoadCollector
