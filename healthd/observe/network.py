"""The `network` family: each interface's link and traffic."""

import os
import re
from collections.abc import Mapping
from math import inf
from operator import sub
from typing import NamedTuple

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.model import SINGLE, Reading, Unit, counter, family, gauge, state
from healthd.observe._files import Roots
from healthd.observe._links import Link, Nodes
from healthd.observe._rates import Rates
from healthd.observe._routes import Routes
from healthd.observe._wireless import Signals


@family(
    "network",
    event="system.network.usage.updated",
    instances="interface",
    source="/proc/net/dev, /proc/net/route, /proc/net/wireless, /sys/class/net",
)
class Network(Reading):
    """Link and traffic of a network interface, from `/proc/net/dev` and `/sys/class/net` (ABI: sysfs-class-net).

    A total is the sum over the physical ones: what passes a bridge, a bond, a VLAN or a tunnel passes one of them too.
    """

    kind: str | None = state("`physical` (sysfs knows its device), `loopback`, or `virtual`.")
    operstate: str | None = state(
        "State by RFC 2863 (operstate): up, down, dormant, lowerlayerdown, notpresent, testing or unknown."
    )
    carrier: bool | None = state("Whether the link is there (carrier); unknown while the interface is off.")
    speed_bytes_per_second: int | None = state(
        "What the link can carry (speed), read when the link changes and every 30 s; unknown where the driver does not "
        "say.",
        Unit.BYTES_PER_SECOND,
    )
    signal_dbm: float | None = gauge(
        Unit.DBM,
        "Strength of the radio signal that a wireless interface receives (level of `/proc/net/wireless`, read every "
        "10 s); unknown without a link, or where the driver tells no dBm.",
        span=(-127.0, -1.0),
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

_LINK_EVERY = 30.0
# Two files each are kept open; a process has 1024 by default.
_FEW = 64


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


class Interface(NamedTuple):
    """An interface as it was last observed."""

    name: str
    link: Link
    counters: Counters
    reading: Network
    idle: bool
    """Whether all rates were zero, so that the same counters give the same reading."""


class _Tick(NamedTuple):
    """How one look at the table goes."""

    now: Instant
    seconds: float | None
    """Since the one before; `None` where that gives no rates."""
    all_links: bool
    """Whether all links are due."""
    keep: bool
    """Whether so few are there that files can be kept open."""
    rerouted: bool
    """Whether the uplink is another one."""

    @property
    def quiet(self) -> bool:
        """Whether what is idle stays as it is."""
        return self.seconds is not None and not self.rerouted


class NetworkCollector:
    """Reads `/proc/net/dev`, and sysfs: of physical interfaces each time, of others every 30 s.

    Routes are read as seldom, and after a link has changed; signals every 10 s.
    """

    reading = Network

    def __init__(self, roots: Roots) -> None:
        self._dev = roots.proc.file("net/dev")
        self._roots = roots
        self._rates = Rates()
        self._routes = Routes(roots)
        self._signals = Signals(roots.proc.file("net/wireless"))
        self._nodes = Nodes(roots.sys)
        self._routes_due = True
        self._links_due = -inf
        self._by_line: dict[bytes, Interface] = {}
        self._by_name: dict[str, Interface] = {}

    def collect(self, now: Instant) -> Mapping[str, Reading]:
        """Return one reading an interface."""
        lines = table(self._dev.read())
        fresh = {line: parse(line) for line in lines if line not in self._by_line}
        tick = self._tick(now, len(lines))
        quiet = tick.quiet and not tick.all_links
        by_line = {}
        for line in lines:
            known = self._by_line.get(line)
            if known is None:
                name, counters = fresh[line]
                by_line[line] = self._observe(os.fsdecode(name), counters, tick)
            elif quiet and known.idle and not known.link.physical:
                by_line[line] = known
            else:
                by_line[line] = self._observe(known.link.name, known.counters, tick)
        self._by_line = by_line
        self._by_name = {interface.link.name: interface for interface in by_line.values()}
        return {interface.name: interface.reading for interface in by_line.values()}

    def _tick(self, now: Instant, count: int) -> _Tick:
        few = count <= _FEW
        self._nodes.renew(few=few)
        # All interfaces were last read at the same moment: one clock serves them all.
        step = self._rates.deltas(SINGLE, now, ())
        all_links = now.since_boot >= self._links_due
        if all_links:
            self._links_due = now.since_boot + _LINK_EVERY
        rerouted = (all_links or self._routes_due) and self._routes.changed()
        self._routes_due = False
        return _Tick(now, step[0] if step else None, all_links, few, rerouted)

    def _observe(self, name: str, counters: Counters, tick: _Tick) -> Interface:
        known, node = self._by_name.get(name), self._nodes.of(name)
        if known is None or known.link.node != node:
            link = Link(self._roots, name, node, self._signals)
            link.changed(tick.now, due=True, keep=tick.keep)
            self._routes_due = True
            return self._interface(os.fsencode(name).decode("utf-8", "backslashreplace"), link, counters, _UNKNOWN)
        looked = known.link.physical or tick.all_links
        if looked and known.link.changed(tick.now, due=tick.all_links, keep=tick.keep):
            # Then routes will change too.
            self._routes_due = True
        elif tick.quiet and known.idle and counters == known.counters:
            return known
        return self._interface(known.name, known.link, counters, rates(known.counters, counters, tick.seconds))

    def _interface(self, name: str, link: Link, counters: Counters, rate: tuple[float | None, ...]) -> Interface:
        reading = _reading(link, counters, rate, uplink=self._routes.carry(link.name))
        return Interface(name, link, counters, reading, idle=rate == _STILL)


def rates(before: Counters, after: Counters, seconds: float | None) -> tuple[float | None, ...]:
    """Return what each counter grew by in a second; all unknown after a reset, a wrap and a gap."""
    if seconds is None:
        return _UNKNOWN
    if before == after:
        return _STILL
    deltas = list(map(sub, after, before))
    if min(deltas) < 0:
        return _UNKNOWN
    return tuple(
        [round(delta / seconds, digits) if delta else 0.0 for delta, digits in zip(deltas, _DIGITS, strict=True)]
    )


def _reading(link: Link, counters: Counters, rate: tuple[float | None, ...], *, uplink: bool | None) -> Network:
    return Network(
        kind=link.kind,
        operstate=link.facts.operstate,
        carrier=link.facts.carrier,
        speed_bytes_per_second=link.facts.speed,
        signal_dbm=link.facts.signal,
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
