"""Links of network interfaces, from `/sys/class/net` (ABI: sysfs-class-net)."""

import os
from typing import NamedTuple

from healthd.clock import Instant
from healthd.observe._files import File, Roots, Tree
from healthd.observe._wireless import Signals

_STATES = frozenset(("unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"))
_BYTES_PER_MEGABIT = 125_000
_FASTEST = 100_000_000
_LOOPBACK = 772


class Facts(NamedTuple):
    """What is known of a link."""

    operstate: str | None = None
    carrier: bool | None = None
    speed: int | None = None
    """Bytes per second."""
    signal: float | None = None
    """dBm."""


class Link:
    """The link of one interface."""

    def __init__(self, roots: Roots, name: str, signals: Signals) -> None:
        self.name = name
        self.facts = Facts()
        base = f"class/net/{name}"
        self._path = roots.sys.path(base)
        self._node = self._present()
        self.kind = _kind(roots.sys, base)
        wireless = any(roots.sys.exists(f"{base}/{entry}") for entry in ("phy80211", "wireless"))
        self._signals = signals if wireless else None
        self._operstate = roots.sys.file(f"{base}/operstate")
        self._carrier = roots.sys.file(f"{base}/carrier")
        self._speed = roots.sys.file(f"{base}/speed")
        self._has_speed = True

    @property
    def physical(self) -> bool:
        """Whether there is a device behind it."""
        return self.kind == "physical"

    @property
    def replaced(self) -> bool:
        """Whether another interface has taken the name since."""
        return self._present() != self._node

    def changed(self, now: Instant, *, keep: bool) -> bool:
        """Read the facts anew, and tell whether they changed; `keep` the files open where they are read often."""
        before = self.facts
        operstate = _text(self._operstate)
        # Where the driver has no speed to tell (wireless), it has none until the link changes.
        speed = _text(self._speed) if self._has_speed or operstate != before.operstate else None
        self._has_speed = speed is not None
        self.facts = Facts(
            operstate if operstate in _STATES else None,
            {"0": False, "1": True}.get(_text(self._carrier) or ""),
            _bytes_per_second(speed),
            self._signals.dbm(self.name, now) if self._signals else None,
        )
        if not (self.physical and keep):
            for file in (self._operstate, self._carrier, self._speed):
                file.close()
        return self.facts != before

    def _present(self) -> int | None:
        """Return what sysfs numbers the interface with that has the name now, `None` where it shows none."""
        try:
            return os.lstat(self._path).st_ino
        except OSError:
            return None


def _kind(sys: Tree, base: str) -> str | None:
    if sys.number(f"{base}/type") == _LOOPBACK:
        return "loopback"
    if not sys.exists(base):
        return None
    return "physical" if sys.exists(f"{base}/device") else "virtual"


def _text(file: File) -> str | None:
    try:
        return file.text()
    except OSError:  # the driver has nothing to tell now, or the interface is gone
        return None


def _bytes_per_second(megabits: str | None) -> int | None:
    if megabits is None or not (megabits.isascii() and megabits.isdigit() and len(megabits) <= 10):
        return None
    # The kernel's "unknown" is -1, which some drivers write as 4294967295.
    return int(megabits) * _BYTES_PER_MEGABIT if 0 < int(megabits) <= _FASTEST else None
