"""Links of network interfaces, from `/sys/class/net` (ABI: sysfs-class-net)."""

import os
from collections.abc import Mapping
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


class Nodes:
    """What sysfs numbers the interfaces with: one that is made anew, or renamed, has another number than before."""

    def __init__(self, sys: Tree) -> None:
        self._path = sys.path("class/net")
        self._listed: Mapping[str, int] | None = None

    def renew(self, *, few: bool) -> None:
        """Look anew: where there are many, at all of them at once."""
        self._listed = None if few else self._all()

    def of(self, name: str) -> int | None:
        """Return the number of the interface that has the name now, `None` where sysfs shows none."""
        if self._listed is not None:
            return self._listed.get(name)
        try:
            return os.lstat(f"{self._path}/{name}").st_ino
        except OSError:
            return None

    def _all(self) -> Mapping[str, int]:
        try:
            with os.scandir(self._path) as entries:
                return {entry.name: entry.inode() for entry in entries}
        except OSError:
            return {}


class Link:
    """The link of one interface."""

    def __init__(self, roots: Roots, name: str, node: int | None, signals: Signals) -> None:
        self.name = name
        self.node = node
        """What sysfs numbers it with."""
        self.facts = Facts()
        base = f"class/net/{name}"
        self.kind = _kind(roots.sys, base)
        wireless = any(roots.sys.exists(f"{base}/{entry}") for entry in ("phy80211", "wireless"))
        self._signals = signals if wireless else None
        self._operstate = roots.sys.file(f"{base}/operstate")
        self._carrier = roots.sys.file(f"{base}/carrier")
        self._speed = roots.sys.file(f"{base}/speed")
        self._told: tuple[bytes | None, ...] = ()
        """What it said last of its state."""

    @property
    def physical(self) -> bool:
        """Whether there is a device behind it."""
        return self.kind == "physical"

    def changed(self, now: Instant, *, due: bool, keep: bool) -> bool:
        """Look at the link, and tell whether the facts changed; `keep` the files open where they are read often.

        To tell its speed a driver may ask the hardware: that is read where the state is another one, or all is `due`.
        """
        before = self.facts
        told = _content(self._operstate), _content(self._carrier)
        if due or told != self._told:
            self._told = told
            operstate = (told[0] or b"").decode("ascii", "replace")
            self.facts = Facts(
                operstate if operstate in _STATES else None,
                {b"0": False, b"1": True}.get(told[1] or b""),
                _bytes_per_second(_content(self._speed) or b""),
                before.signal,
            )
            self._speed.close()
        if self._signals:
            self.facts = self.facts._replace(signal=self._signals.dbm(self.name, now))
        if not (self.physical and keep):
            self._operstate.close()
            self._carrier.close()
        return self.facts != before


def _kind(sys: Tree, base: str) -> str | None:
    if sys.number(f"{base}/type") == _LOOPBACK:
        return "loopback"
    if not sys.exists(base):
        return None
    return "physical" if sys.exists(f"{base}/device") else "virtual"


def _content(file: File) -> bytes | None:
    try:
        return file.attribute().strip()
    except OSError:  # the driver has nothing to tell now, or the interface is gone
        return None


def _bytes_per_second(megabits: bytes) -> int | None:
    if not megabits.isdigit() or len(megabits) > 10:
        return None
    # The kernel's "unknown" is -1, which some drivers write as 4294967295.
    return int(megabits) * _BYTES_PER_MEGABIT if 0 < int(megabits) <= _FASTEST else None
