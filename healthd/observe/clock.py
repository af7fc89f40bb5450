"""The `clock` family: whether the wall clock tells the true time."""

import ctypes
import errno
import os
from collections.abc import Callable, Mapping
from functools import cache

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.model import SINGLE, Band, Reading, Unit, family, gauge, state
from healthd.observe._files import Roots


@family("clock", every=60.0, source="adjtimex(2), /run/systemd/timesync, /sys/class/rtc")
class Clock(Reading):
    """How true the wall clock is, from the kernel's own account of it (adjtimex(2)); in a container, the host's.

    As systemd does, the greatest possible error decides and not STA_UNSYNC, which some set to keep the kernel from
    writing the hardware clock. Where a sandbox keeps the kernel from being asked, systemd-timesyncd's word counts
    (`/run/systemd/timesync`), and the figures are unknown.
    """

    synchronised: bool | None = state("Whether somebody keeps it: the kernel takes it for less than 16 s wrong.")
    offset_seconds: float | None = gauge(
        Unit.SECONDS,
        "What the kernel has still to correct (offset).",
        band=Band(absolute=0.001, relative=0.25),
        digits=6,
        span=(-1.0, 1.0),
    )
    estimated_error_seconds: float | None = gauge(
        Unit.SECONDS,
        "How wrong it is, as who keeps it says (esterror); unknown while nobody does.",
        band=Band(absolute=0.001, relative=0.25),
        digits=6,
    )
    maximum_error_seconds: float | None = gauge(
        Unit.SECONDS,
        "How wrong it can be (maxerror), growing since it was last set right; unknown while nobody keeps it.",
        band=Band(absolute=0.25, relative=0.25),
    )
    source: str | None = state("The service that keeps it, as far as that shows below /run.")
    rtc: bool | None = state("Whether there is a hardware clock, which knows the time at boot (/sys/class/rtc).")


class Timex(ctypes.Structure):
    """`struct timex` of adjtimex(2), up to what is read; microseconds, or nanoseconds where the status says so."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        # More than follows on any machine: the kernel writes there.
        ("rest", ctypes.c_long * 32),
    )


_NANOSECONDS = 0x2000
_UNKEPT = 16_000_000
"""The kernel's error of a clock that nobody keeps, µs (NTP_PHASE_LIMIT)."""
_TIMESYNCD = "run/systemd/timesync"
_KEEPERS = (
    (_TIMESYNCD, "systemd-timesyncd"),
    ("run/chrony", "chrony"),
    ("run/ntpd.pid", "ntpd"),
)
"""What shows that a service keeps the clock."""
_REMEDY = "as a service, take the drop-in clock.conf (/usr/share/doc/healthd/examples/drop-ins)"


def account() -> Timex:
    """Return the kernel's account of its clock; nothing is set by that, and it takes no privilege.

    Raises OSError.
    """
    found = Timex()
    if _library().adjtimex(ctypes.byref(found)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "adjtimex")
    return found


@cache
def _library() -> ctypes.CDLL:
    """Return the C library: to open it makes a class, which takes longer than all else here."""
    return ctypes.CDLL(None, use_errno=True)


class ClockCollector:
    """Asks the kernel, and looks who keeps its clock."""

    reading = Clock

    def __init__(self, roots: Roots, asked: Callable[[], Timex] = account) -> None:
        self._roots = roots
        self._account = asked

    def collect(self, now: Instant) -> Mapping[str, Reading]:  # noqa: ARG002 - nothing here is a rate
        """Return one reading."""
        sys, host = self._roots.sys, self._roots.host
        synchronised, offset, estimated, most = self._told()
        reading = Clock(
            synchronised=synchronised,
            offset_seconds=offset,
            estimated_error_seconds=estimated,
            maximum_error_seconds=most,
            source=next((name for path, name in _KEEPERS if host.exists(path)), None),
            rtc=bool(sys.names("class/rtc")) if sys.exists("class") else None,
        )
        return {SINGLE: reading}

    def _told(self) -> tuple[bool, float | None, float | None, float | None]:
        """Return whether the clock is kept, its offset, and the estimated and the greatest possible error."""
        try:
            found = self._account()
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EACCES):
                raise
            if self._roots.host.exists(_TIMESYNCD):
                return self._roots.host.exists(f"{_TIMESYNCD}/synchronized"), None, None, None
            raise Unobserved(protocol.PERMISSION, "the kernel may not be asked about its clock", _REMEDY) from error
        offset = round(found.offset / (1e9 if found.status & _NANOSECONDS else 1e6), 6)
        if not 0 <= found.maxerror < _UNKEPT:
            return False, offset, None, None
        return True, offset, round(found.esterror / 1e6, 6), round(found.maxerror / 1e6, 3)


COLLECTOR = ClockCollector
