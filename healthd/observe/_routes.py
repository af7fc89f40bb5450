"""The uplink: the interfaces that carry the default route, from the kernel's routing tables."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import groupby
from operator import itemgetter

from healthd.observe._files import Roots

_LIMIT = 64 * 1024
"""How much of a table is looked at, bytes: a router's can have a million routes."""
_UP, _REJECT = 0x1, 0x200
_NOWHERE = b"0" * 8
_NOWHERE_6 = b"0" * 32

Route = tuple[int, str]
"""Metric and interface."""


class Routes:
    """Knows the uplink, and remembers it while there is none: a link that is lost loses its routes."""

    def __init__(self, roots: Roots) -> None:
        self._proc = roots.proc
        self._sys = roots.sys
        self._uplink: set[str] = set()
        """What carries the default route, or did last, and what that consists of; empty while nothing ever did."""

    def carry(self, name: str) -> bool | None:
        """Tell whether an interface is of the uplink; `None` while there was no default route."""
        return name in self._uplink if self._uplink else None

    def changed(self) -> bool:
        """Read the tables anew, and tell whether the uplink is another one."""
        before = self._uplink
        carrying = self._carrying(default(self._table("route"))) | self._carrying(default_6(self._table("ipv6_route")))
        # A tunnel keeps its route when the link below it is lost, whose own is gone then.
        if carrying and (not carrying <= before or self._physical(carrying)):
            self._uplink = carrying
        return self._uplink != before

    def _carrying(self, routes: Iterable[Route]) -> set[str]:
        """Return the preferred interfaces, and what those consist of.

        Where nothing of that has a device, as with a tunnel, the next ones too, as far as to one that has.
        """
        carrying: set[str] = set()
        choices = ranked(routes)
        for names in choices:
            carrying |= names | self._below(names)
            if self._physical(carrying):
                return carrying
        return choices[0] | self._below(choices[0]) if choices else carrying

    def _physical(self, names: Iterable[str]) -> bool:
        """Tell whether one of some interfaces has a device (ABI: sysfs-class-net)."""
        return any(self._sys.exists(f"class/net/{name}/device") for name in names)

    def _table(self, name: str) -> bytes:
        """Return a table, or the beginning of a large one; empty where there is none."""
        content = b""
        with suppress(OSError), open(self._proc.path(f"net/{name}"), "rb", buffering=0) as table:
            while len(content) < _LIMIT and (chunk := table.read(_LIMIT)):
                content += chunk
        return content

    def _below(self, names: Iterable[str]) -> set[str]:
        """Return what bridges, bonds and VLANs consist of (sysfs-class-net: `lower_NAME`)."""
        below: set[str] = set()
        above = list(names)
        while above:
            entries = self._sys.names(f"class/net/{above.pop()}")
            found = {entry.removeprefix("lower_") for entry in entries if entry.startswith("lower_")}
            above += found - below
            below |= found
        return below


def default(table: bytes) -> Iterator[Route]:
    """Yield the default routes of `/proc/net/route`."""
    for line in table.splitlines():
        columns = line.split()
        if len(columns) == 11 and columns[1] == columns[7] == _NOWHERE:
            yield from _route(columns[0], columns[3], columns[6], 10)


def default_6(table: bytes) -> Iterator[Route]:
    """Yield the default routes of `/proc/net/ipv6_route`."""
    for line in table.splitlines():
        columns = line.split()
        if len(columns) == 10 and columns[:2] == [_NOWHERE_6, b"00"]:
            yield from _route(columns[9], columns[8], columns[5], 16)


def _route(name: bytes, flags: bytes, metric: bytes, base: int) -> Iterator[Route]:
    """Yield a route, unless it leads nowhere or can't be understood."""
    with suppress(ValueError):
        if int(flags, 16) & (_UP | _REJECT) == _UP:
            yield int(metric, base), os.fsdecode(name)


def ranked(routes: Iterable[Route]) -> list[set[str]]:
    """Return the interfaces of each metric, those that the kernel prefers first: of the least one."""
    return [{name for _, name in same} for _, same in groupby(sorted(routes), key=itemgetter(0))]
