"""The `network` family: each interface's link and traffic."""

import os
import re
from collections.abc import Mapping
from math import inf
from typing import NamedTuple

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.model import SINGLE, Reading, Unit, counter, family, gauge, state
from healthd.observe._files import File, Roots, Tree
from healthd.observe._rates import Rates
from healthd.observe._routes import Routes


@family("network", event="system.network.usage.updated", instances="interface")
class Network(Reading):
    """Link and traffic of a network interface, from `/proc/net/dev` and `/sys/class/net` (ABI: sysfs-class-net)."""

    kind: str | None = state("`physical` (sysfs knows its device), `loopback`, or `virtual`.")
    operstate: str | None = state(
        "State by RFC 2863 (operstate): up, down, dormant, lowerlayerdown, notpresent, testing or unknown."
    )
    carrier: bool | None = state("Whether the link is there (carrier); unknown while the interface is off.")
    speed_bytes_per_second: int | None = state(
        "What the link can carry (speed); unknown where the driver does not say.", Unit.BYTES_PER_SECOND
    )
    uplink: bool | None = state(
        "Whether it carries the default route, or did last (`/proc/net/route`, `ipv6_route`), also below a bridge or a "
        "bond; unknown while there was none since healthd runs."
    )
    rx_bytes: int | None = counter(Unit.BYTES, "Received (bytes).")
    tx_bytes: int | None = counter(Unit.BYTES, "Sent (bytes).")
    rx_packets: int | None = counter(Unit.COUNT, "Packets received (packets).")
    tx_packets: int | None = counter(Unit.COUNT, "Packets sent (packets).")
    rx_errors: int | None = counter(Unit.COUNT, "Packets received with a fault (errs).")
    tx_errors: int | None = counter(Unit.COUNT, "Packets that could not be sent for a fault (errs).")
    rx_dropped: int | None = counter(Unit.COUNT, "Packets received and thrown away (drop).")
    tx_dropped: int | None = counter(Unit.COUNT, "Packets thrown away before they were sent (drop).")
    rx_bytes_per_second: float | None = gauge(Unit.BYTES_PER_SECOND, "Received.")
    tx_bytes_per_second: float | None = gauge(Unit.BYTES_PER_SECOND, "Sent.")
    rx_packets_per_second: float | None = gauge(Unit.PER_SECOND, "Packets received.")
    tx_packets_per_second: float | None = gauge(Unit.PER_SECOND, "Packets sent.")
    rx_errors_per_second: float | None = gauge(Unit.PER_SECOND, "Packets received with a fault.")
    tx_errors_per_second: float | None = gauge(Unit.PER_SECOND, "Packets that could not be sent for a fault.")
    rx_dropped_per_second: float | None = gauge(Unit.PER_SECOND, "Packets received and thrown away.")
    tx_dropped_per_second: float | None = gauge(Unit.PER_SECOND, "Packets thrown away before they were sent.")


class Counters(NamedTuple):
    """The counters of one interface."""

    rx_bytes: int
    rx_packets: int
    rx_errors: int
    rx_dropped: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    tx_dropped: int


_DIGITS = (0, 1, 1, 1, 0, 1, 1, 1)
_UNKNOWN = (None,) * 8
_STILL = (0.0,) * 8

# A name holds no white space and no "/" but may hold ":", so the last ":" before the sixteen counters divides.
_N = rb"\s+(\d{1,20})"
_SKIP = rb"\s+\d{1,20}"
_LINE = re.compile(
    rb"\s*([^\s/\0]{1,31}):\s*(\d{1,20})" + 3 * _N + 4 * _SKIP + 4 * _N + 4 * _SKIP,
)

_STATES = frozenset(("unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"))
_BYTES_PER_MEGABIT = 125_000
_FASTEST = 100_000_000
_LOOPBACK = 772
_LINK_EVERY = 30.0


def table(dev: bytes) -> list[bytes]:
    """Return the lines of `/proc/net/dev` below its head, one an interface.

    Raises Unobserved where the head or the end of the last line is missing.
    """
    lines = dev.split(b"\n")
    if len(lines) < 3 or not lines[0].startswith(b"Inter-|") or lines.pop():
        raise Unobserved(protocol.MALFORMED, "/proc/net/dev is not a whole table")
    return lines[2:]


def parse(line: bytes) -> tuple[bytes, Counters]:
    """Read one line of `/proc/net/dev`: the interface's name and its counters.

    Raises Unobserved where it is not a name and sixteen counters.
    """
    match = _LINE.fullmatch(line)
    if match is None:
        raise Unobserved(protocol.MALFORMED, "/proc/net/dev has a line that is not a name and sixteen counters")
    name, *counters = match.groups()
    return name, Counters(*map(int, counters))


class Facts(NamedTuple):
    """What sysfs says of a link."""

    operstate: str | None = None
    carrier: bool | None = None
    speed: int | None = None
    """Bytes per second."""


class Link:
    """The link of one interface, from `/sys/class/net/NAME`."""

    def __init__(self, sys: Tree, name: str) -> None:
        self.name = name
        self._sys = sys
        self._base = base = f"class/net/{name}"
        self.kind = _kind(sys, base)
        self.facts = Facts()
        self._operstate = sys.file(f"{base}/operstate")
        self._carrier = sys.file(f"{base}/carrier")
        self._speed = sys.file(f"{base}/speed")
        self._has_speed = True

    @property
    def physical(self) -> bool:
        """Whether there is a device behind it."""
        return self.kind == "physical"

    def changed(self, *, renewed: bool = False) -> bool:
        """Read the facts anew, and tell whether they changed; `renewed` where another may have taken the name."""
        before, kind = self.facts, self.kind
        if renewed:
            self.kind = _kind(self._sys, self._base)
        operstate = _text(self._operstate)
        # Where the driver has no speed to tell (wireless), it has none until the link changes.
        speed = _text(self._speed) if self._has_speed or operstate != before.operstate else None
        self._has_speed = speed is not None
        self.facts = Facts(
            operstate if operstate in _STATES else None,
            {"0": False, "1": True}.get(_text(self._carrier) or ""),
            _bytes_per_second(speed),
        )
        if not self.physical:
            for file in (self._operstate, self._carrier, self._speed):
                file.close()
        return self.facts != before or self.kind != kind


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


class Interface(NamedTuple):
    """An interface as it was last observed."""

    name: str
    link: Link
    counters: Counters
    reading: Network
    idle: bool
    """Whether all rates were zero, so that the same line gives the same reading."""


class NetworkCollector:
    """Reads `/proc/net/dev`, and sysfs: of physical interfaces each time, of others every 30 s.

    Routes are read as seldom, and after a link has changed.
    """

    reading = Network

    def __init__(self, roots: Roots) -> None:
        self._dev = roots.proc.file("net/dev")
        self._sys = roots.sys
        self._rates = Rates()
        self._routes = Routes(roots)
        self._routes_due = True
        self._links_due = -inf
        self._by_line: dict[bytes, Interface] = {}
        self._by_name: dict[str, Interface] = {}

    def collect(self, now: Instant) -> Mapping[str, Reading]:
        """Return one reading an interface."""
        lines = table(self._dev.read())
        fresh = {line: parse(line) for line in lines if line not in self._by_line}
        # All interfaces were last read at the same moment: one clock serves them all.
        step = self._rates.deltas(SINGLE, now, ())
        seconds = step[0] if step else None
        all_links = now.since_boot >= self._links_due
        if all_links:
            self._links_due = now.since_boot + _LINK_EVERY
        rerouted = (all_links or self._routes_due) and self._routes.changed()
        self._routes_due = False
        by_line = {}
        for line in lines:
            if line in fresh:
                by_line[line] = self._observe(*fresh[line], seconds, all_links=all_links)
                continue
            known = self._by_line[line]
            if self._relinked(known, all_links=all_links) or rerouted or not known.idle or seconds is None:
                known = self._known(known, known.counters, seconds)
            by_line[line] = known
        self._by_line = by_line
        self._by_name = {interface.name: interface for interface in by_line.values()}
        return {name: interface.reading for name, interface in self._by_name.items()}

    def _relinked(self, known: Interface, *, all_links: bool) -> bool:
        """Look at a link where that is due, and tell whether it changed: then routes will."""
        if not (known.link.physical or all_links) or not known.link.changed(renewed=all_links):
            return False
        self._routes_due = True
        return True

    def _observe(self, raw: bytes, counters: Counters, seconds: float | None, *, all_links: bool) -> Interface:
        name = raw.decode("utf-8", "backslashreplace")
        known = self._by_name.get(name)
        if known is None:
            link = Link(self._sys, os.fsdecode(raw))
            link.changed()
            self._routes_due = True
            return self._interface(name, link, counters, _UNKNOWN)
        self._relinked(known, all_links=all_links)
        return self._known(known, counters, seconds)

    def _known(self, known: Interface, counters: Counters, seconds: float | None) -> Interface:
        return self._interface(known.name, known.link, counters, rates(known.counters, counters, seconds))

    def _interface(self, name: str, link: Link, counters: Counters, rate: tuple[float | None, ...]) -> Interface:
        reading = _reading(link, counters, rate, uplink=self._routes.carry(link.name))
        return Interface(name, link, counters, reading, idle=rate == _STILL)


def rates(before: Counters, after: Counters, seconds: float | None) -> tuple[float | None, ...]:
    """Return what each counter grew by in a second; all unknown after a reset, a wrap and a gap."""
    if seconds is None:
        return _UNKNOWN
    if before == after:
        return _STILL
    found = []
    for new, old, digits in zip(after, before, _DIGITS, strict=True):
        if new < old:
            return _UNKNOWN
        found.append(round((new - old) / seconds, digits))
    return tuple(found)


def _reading(link: Link, counters: Counters, rate: tuple[float | None, ...], *, uplink: bool | None) -> Network:
    return Network(
        kind=link.kind,
        operstate=link.facts.operstate,
        carrier=link.facts.carrier,
        speed_bytes_per_second=link.facts.speed,
        uplink=uplink,
        rx_bytes=counters.rx_bytes,
        tx_bytes=counters.tx_bytes,
        rx_packets=counters.rx_packets,
        tx_packets=counters.tx_packets,
        rx_errors=counters.rx_errors,
        tx_errors=counters.tx_errors,
        rx_dropped=counters.rx_dropped,
        tx_dropped=counters.tx_dropped,
        rx_bytes_per_second=rate[0],
        rx_packets_per_second=rate[1],
        rx_errors_per_second=rate[2],
        rx_dropped_per_second=rate[3],
        tx_bytes_per_second=rate[4],
        tx_packets_per_second=rate[5],
        tx_errors_per_second=rate[6],
        tx_dropped_per_second=rate[7],
    )


COLLECTOR = NetworkCollector
