"""What is observed for watches: one pace for all that have the same interval, of what they ask for together."""

import asyncio
import math
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from healthd.clock import Instant
from healthd.dbus import Connection, Unicast, dictionary, entry
from healthd.model import SINGLE, Metric, Reading
from healthd.publish.bus.behind import Faster
from healthd.publish.bus.values import wire
from healthd.publish.bus.watcher import Watcher

SIGNATURE = "utta{sv}"
"""Of a Sample: the watch, since boot (µs), time (µs), values."""
LOST = "lost"
"""The key beside the metrics; they have a dot in their names."""

BACKLOG = 64 * 1024
"""While this much is unsent no watch is told, bytes: less than what keeps back what everyone is told.

So much is also handed over at once, before it is looked again what is unsent."""
_FIRST = 0.1
"""After how long a watch is told what is known already, seconds."""
_EARLY = 0.05
"""How much before a multiple of the interval a sample is that of it, seconds."""
_NUMBER = struct.Struct("<I4x")
_MOMENTS = struct.Struct("<QQ")


class Asked(NamedTuple):
    """A metric that is watched."""

    family: str
    metric: Metric
    instance: str | None
    """`None` for all that there are."""


@dataclass(slots=True, eq=False)
class Watch:
    """A client's lease on faster sampling."""

    number: int
    watcher: Watcher
    asked: Mapping[str, Asked]
    """By address."""
    signal: Unicast
    lost: int = 0
    """Samples that it was not told of."""
    begun: bool = False
    """Whether its number is known, so that it can be told."""
    turn: int = -1
    """Of which multiple of the interval its last sample was."""
    told: int = -1
    """The same of the last that it was told of."""
    size: int = 0
    """Of that one, bytes."""
    addresses: frozenset[str] = field(init=False)
    families: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.addresses = frozenset(self.asked)
        self.families = frozenset(each.family for each in self.asked.values())


def in_order(watches: Iterable[Watch]) -> list[Watch]:
    """Return watches as they are told where not all can be: one of each user before another one of any.

    Of a user's, those that have waited longest come first, and of the users', those whose samples are small.
    """
    before: Counter[int] = Counter()
    order = []
    for watch in sorted(watches, key=lambda watch: watch.told):
        order.append((before[watch.watcher.user], watch.size, watch.number, watch))
        before[watch.watcher.user] += 1
    return [watch for *_, watch in sorted(order)]


class Frame:
    """What one sample tells those who are told at once; each value is marshalled once, for all who asked for it."""

    def __init__(self, instant: Instant, readings: Mapping[str, Mapping[str, Reading]]) -> None:
        self.instant = instant
        self._moments = _MOMENTS.pack(round(instant.since_boot * 1e6), round(instant.time * 1e6))
        self._readings = readings
        self._entries: dict[str, dict[str, bytes]] = {}
        self._bodies: dict[frozenset[str], bytes] = {}

    def body(self, watch: Watch) -> bytes:
        """Return the body of a watch's Sample."""
        if watch.lost:
            return _NUMBER.pack(watch.number) + self._body(watch.asked, {LOST: entry(LOST, "t", watch.lost)})
        shared = self._bodies.get(watch.addresses)
        if shared is None:
            shared = self._bodies[watch.addresses] = self._body(watch.asked, {})
        return _NUMBER.pack(watch.number) + shared

    def _body(self, asked: Mapping[str, Asked], besides: Mapping[str, bytes]) -> bytes:
        found = {**besides}
        for address, each in asked.items():
            if address not in self._entries:
                self._entries[address] = self._found(each)
            found |= self._entries[address]
        return self._moments + dictionary(list(found.values()))

    def _found(self, asked: Asked) -> dict[str, bytes]:
        """Return the entries of a metric by their addresses: none where it was not observed."""
        readings, metric = self._readings.get(asked.family, {}), asked.metric
        found = {}
        for instance in readings if asked.instance is None else {asked.instance} & readings.keys():
            name = f"{asked.family}.{metric.name}"
            address = wire("s", f"{name}@{instance}" if instance != SINGLE else name)
            value = wire(metric.signature, getattr(readings[instance], metric.name))
            found[address] = entry(address, metric.signature, value)
        return found


class Pace:
    """Observes at one interval (seconds) what its watches ask for, and tells each of them of every sample.

    `failed` is called, with what it failed by, where that can't go on.
    """

    def __init__(
        self, connection: Connection, source: Faster, interval: float, failed: Callable[["Pace", BaseException], None]
    ) -> None:
        self.watches: dict[int, Watch] = {}
        self._connection = connection
        self._source = source
        self._interval = interval
        self._failed = failed
        self._taken: dict[str, int] = {}
        """Samples since it was chosen, by family."""
        self._readings: dict[str, Mapping[str, Reading]] = {}
        self._instant: Instant | None = None
        """Of the last sample."""
        self._loop = asyncio.get_running_loop()
        self._observing = self._loop.create_task(self._observe())
        self._observing.add_done_callback(self._ended)

    def add(self, watch: Watch) -> None:
        """Tell a watch of the last sample, soon, and of each from then on: by then its client knows the number."""
        self.watches[watch.number] = watch
        self._choose()
        self._loop.call_later(_FIRST, self._begin, watch)

    def drop(self, numbers: Iterable[int]) -> None:
        """Tell watches of these numbers no more, of those that it has."""
        for number in numbers:
            self.watches.pop(number, None)
        self._choose()

    def end(self) -> None:
        """Observe no more."""
        self._observing.cancel()
        self._source.end()

    def _choose(self) -> None:
        """Have observed what is watched, and nothing else."""
        families = {family for watch in self.watches.values() for family in watch.families}
        if families != self._taken.keys():
            self._taken = {family: self._taken.get(family, 0) for family in families}
            self._readings = {family: readings for family, readings in self._readings.items() if family in families}
            self._source.choose(families)

    async def _observe(self) -> None:
        async for _ in self._source.ticks():
            families = set(self._taken)
            sample = await self._source.sample()
            self._readings |= {each.family.name: each.readings for each in sample.observations}
            for family in families & self._taken.keys():
                self._taken[family] += 1
            self._instant = sample.instant
            turn = self._turn(sample.instant)
            due = [watch for watch in self.watches.values() if watch.begun and watch.turn < turn]
            self._tell(sample.instant, [watch for watch in due if self._is_known(watch)])

    def _is_known(self, watch: Watch) -> bool:
        """Tell whether there are rates of what is watched."""
        return all(self._taken[family] > 1 for family in watch.families)

    def _turn(self, instant: Instant) -> int:
        return math.floor((instant.since_boot + _EARLY) / self._interval)

    def _ended(self, observing: "asyncio.Task[None]") -> None:
        if not observing.cancelled() and (fault := observing.exception()):
            self._failed(self, fault)

    def _begin(self, watch: Watch) -> None:
        watch.begun = True
        if self._instant and watch.number in self.watches and self._is_known(watch):
            self._tell(self._instant, [watch])

    def _tell(self, instant: Instant, watches: Iterable[Watch]) -> None:
        # It is kept no longer: until the next sample there may be any number of watches, of any addresses.
        frame, turn = Frame(instant, self._readings), self._turn(instant)
        signals: list[tuple[Unicast, bytes]] = []
        size = 0
        for watch in in_order(watches):
            watch.turn = turn
            if self._connection.backlog > BACKLOG or not watch.watcher.has_room():
                watch.lost += 1
                continue
            body = frame.body(watch)
            watch.told, watch.size = turn, watch.signal.size + len(body)
            watch.watcher.sent(watch.size)
            signals.append((watch.signal, body))
            size += watch.size
            if size > BACKLOG:
                self._connection.deliver(signals)
                signals, size = [], 0
        if signals:
            self._connection.deliver(signals)
