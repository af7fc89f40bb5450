"""Where a Raspberry Pi's power and heat can be read: each source, and what is known by it."""

import errno
import os
from collections.abc import Callable
from typing import NamedTuple

from healthd import protocol
from healthd.errors import Unobserved
from healthd.model import Problem
from healthd.observe import _vcio
from healthd.observe._files import File, Roots, Tree
from healthd.observe._problems import problem

NOW, SINCE = 0x0000F, 0xF0000
"""The bits of what is so now, and of what was so since boot: under-voltage, capped, throttled, soft limit."""
LOW, WAS_LOW = 0x00001, 0x10000
"""The bits of under-voltage."""

CLOSED = (errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.EACCES, errno.EPERM)
"""What stands between healthd and a device that may be opened to it later."""
_AGAIN, _REFUSED_AGAIN = 60.0, 3600.0
"""How often a source that can't be opened, or that gives nothing to read, is tried again, seconds: the kernel logs the
second."""

_UNANSWERED = 0xFFFF
"""What the driver of `rpi_volt` asks with, and keeps where it gets no answer."""


class Flags(NamedTuple):
    """The firmware's flags."""

    bits: int
    known: int
    """Of which bits anything is known."""

    def flag(self, bit: int) -> bool | None:
        """Return one flag by its bit; `None` where it is unknown."""
        return bool(self.bits & bit) if self.known & bit else None

    def also(self, bits: int, known: int) -> "Flags":
        """Return them with others that are known from elsewhere."""
        return Flags(self.bits | bits & known, self.known | known)


def whole(bits: int) -> Flags:
    """Return flags of which all are true."""
    return Flags(bits, NOW | SINCE)


def passing(bits: int) -> Flags:
    """Return flags of which the kernel resets those since boot, every 2 s: they tell what was, and not what never was.

    Those of the command of vcgencmd are others, which the kernel leaves alone.
    """
    return Flags(bits, NOW | bits & SINCE)


def stale(bits: int) -> Flags:
    """Return flags as they were when the kernel read them last, maybe at boot: what was so then was so since boot."""
    since = bits & SINCE | (bits & NOW) << 16
    return Flags(since, since)


class Source:
    """One source, which is left alone for a while after it failed."""

    def __init__(self, name: str, read: Callable[[], Flags]) -> None:
        self.name = name
        self.problem: Problem | None = None
        """Why it can't be read, where it can't."""
        self.closed = False
        """Whether that is because there is no such file, or none that this process may open."""
        self._read = read
        self._worked = False
        self._again = 0.0

    def look(self, since_boot: float) -> Flags | None:
        """Return the flags, `None` where the source can't be read."""
        if self.problem and since_boot < self._again:
            return None
        try:
            flags = self._read()
        except (OSError, Unobserved) as error:
            self.problem = problem(error)
            self.closed = isinstance(error, OSError) and error.errno in CLOSED
            is_refused = isinstance(error, Unobserved) or error.errno in (errno.EINVAL, errno.ENOTTY)
            # What worked until now may only have been late.
            pause = 0.0 if self._worked else _REFUSED_AGAIN if is_refused else _AGAIN
            self._worked, self._again = False, since_boot + pause
            return None
        self.problem, self.closed, self._worked = None, False, True
        return flags


class Alarm(Source):
    """hwmon `rpi_volt`: the kernel's driver asks every 2 s whether there was under-voltage since it asked before."""

    def __init__(self, sys: Tree) -> None:
        super().__init__("rpi_volt", self._flags)
        self.passed = False
        """Whether it went on and off, or off and on, since the last look."""
        self._sys = sys
        self._file: File | None = None
        self._was_low: bool | None = None

    def _flags(self) -> Flags:
        file = self._file = self._file or self._found()
        try:
            changed = file.changed()
            is_low = _number(file, 10) > 0
        except OSError:
            self._file, self._was_low, self.passed = None, None, False
            raise
        self.passed = changed and is_low is self._was_low
        self._was_low = is_low
        return Flags(LOW | WAS_LOW, LOW | WAS_LOW) if is_low else Flags(0, LOW)

    def _found(self) -> File:
        for hwmon in self._sys.names("class/hwmon"):
            if self._sys.text(f"class/hwmon/{hwmon}/name", "") == "rpi_volt":
                return self._sys.file(f"class/hwmon/{hwmon}/in0_lcrit_alarm")
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "hwmon rpi_volt")


class Cached(Source):
    """`soc:firmware/get_throttled`: what the firmware told the kernel last, hexadecimal without a prefix.

    It may be of the time of boot, and is deprecated: at its first read since boot the kernel logs a warning with a
    stack trace. So it is asked where no other source answers.
    """

    def __init__(self, roots: Roots) -> None:
        super().__init__("get_throttled", self._flags)
        self._roots = roots
        self._file: File | None = None

    def _flags(self) -> Flags:
        file = self._file or self._found()
        if self._roots.proc.number("sys/kernel/panic_on_warn"):
            raise Unobserved(protocol.FAILED, "the kernel warns of who reads get_throttled, and panics when it warns")
        self._file = file
        bits = _number(file, 16)
        if bits == _UNANSWERED:
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT), file.path)
        return stale(bits)

    def _found(self) -> File:
        sys = self._roots.sys
        for soc in [name for name in sys.names("devices/platform") if name.startswith("soc")]:
            for device in [name for name in sys.names(f"devices/platform/{soc}") if name.endswith(":firmware")]:
                path = f"devices/platform/{soc}/{device}/get_throttled"
                if sys.exists(path):
                    return sys.file(path)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "soc:firmware/get_throttled")


def _number(file: File, base: int) -> int:
    text = file.text()
    try:
        return int(text, base)
    except ValueError as error:
        raise Unobserved(protocol.MALFORMED, f"{os.path.basename(file.path)} holds no number") from error


def ladder(roots: Roots, ioctl: _vcio.Ioctl, alarm: Alarm) -> list[Source]:
    """Return the sources, the best first."""
    # The kernel lets the command alone through the narrow device.
    narrow = _vcio.Mailbox(roots.host.path("dev/vcio_gencmd"), ioctl)
    wide = _vcio.Mailbox(roots.host.path("dev/vcio"), ioctl)
    return [
        Source("vcio_gencmd", lambda: whole(_vcio.told(narrow.ask(_vcio.COMMAND)))),
        Source("vcio", lambda: whole(_vcio.told(wide.ask(_vcio.COMMAND)))),
        Source("vcio_property", lambda: passing(_vcio.held(wide.ask(_vcio.PROPERTY)))),
        alarm,
        Cached(roots),
    ]
