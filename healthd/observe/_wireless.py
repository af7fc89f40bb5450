"""Strength of radio signals, from `/proc/net/wireless` (kernel: net/wireless/wext-proc.c)."""

import os
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from math import inf

from healthd.clock import Instant
from healthd.observe._files import File

EVERY = 10.0
"""How often signals are read, seconds."""
STALE = 30.0
"""How long a signal holds while the driver does not answer, seconds."""
_MOMENT = 0.05
_ZERO = 256

# Name (which may hold ":"), status in hex, link quality, level. A "." says that it was updated since it was last read.
_LINE = re.compile(rb"\s*([^\s/\0]{1,31}):\s*[0-9a-f]{1,8}\s+-?\d{1,4}\.?\s+(-?\d{1,4})[.\s]")


def dbm(level: int) -> float | None:
    """Return a level in dBm, `None` where it is none.

    The kernel keeps a byte. It prints -256 to -1 where the driver says that it is dBm, and the byte as it is where the
    driver does not say so: 129 to 255 can only be dBm then, and what is less may be anything, percent most often. Zero
    and the least byte stand for "not known".
    """
    signed = level if level < 0 else level - _ZERO
    return float(signed) if -128 < signed < 0 else None


def parse(table: bytes) -> dict[str, float]:
    """Return dBm by interface of `/proc/net/wireless`; what can't be understood is left out."""
    found = {}
    for line in table.splitlines():
        match = _LINE.match(line)
        signal = dbm(int(match[2])) if match else None
        if match and signal is not None:
            found[os.fsdecode(match[1])] = signal
    return found


class Signals:
    """Knows the signals of all wireless interfaces.

    To read them the kernel takes its lock on all interfaces and asks each adapter's firmware, which takes milliseconds,
    and seconds where that has crashed: a thread of its own does so. From Linux 6.3 on the kernel's log says, once, that
    this way to read them ends with Wi-Fi 7; there the level is 0.
    """

    def __init__(self, table: File) -> None:
        self._table = table
        self._due = -inf
        self._thread: threading.Thread | None = None
        self._seen: tuple[float, Mapping[str, float]] = -inf, {}
        """When the reading began, and what it brought; the thread replaces it as a whole."""

    def dbm(self, name: str, now: Instant) -> float | None:
        """Return the signal of an interface as it was read last; `None` where it is not known, or was too long ago."""
        if now.since_boot >= self._due:
            self._due = now.since_boot + EVERY
            self._read(now)
        return self._seen[1].get(name) if self._holds(now) else None

    def _holds(self, now: Instant) -> bool:
        return now.since_boot - self._seen[0] < STALE

    def _read(self, now: Instant) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        self._thread = threading.Thread(target=self._look, args=(now.since_boot,), name="observe-wireless", daemon=True)
        self._thread.start()
        if not self._holds(now):
            # There is nothing to go on with meanwhile: the first time, after a suspend, and where ticks are rare.
            self._thread.join(_MOMENT)

    def _look(self, then: float) -> None:
        with suppress(OSError):  # a kernel without wireless extensions
            self._seen = then, parse(self._table.read())
