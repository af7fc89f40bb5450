"""What is observed for watches: one rhythm for all that have the same interval, of what they ask for together."""

import asyncio
import math
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from healthd._dbus_unicast import dictionary, entry
from healthd.clock import Instant
from healthd.dbus import Connection, Unicast
from healthd.model import SINGLE, Metric, Reading
from healthd.publish.bus.behind import Rhythm
from healthd.publish.bus.values import wire
from healthd.publish.bus.watcher import Watcher

SIGNATURE = "utta{sv}"
"""Of a Sample: the watch, since boot (µs), time (µs), values."""
LOST = "lost"
"""The key beside the metrics; they have a dot in their names."""

BACKLOG = 64 * 1024
"""While this much is unsent no watch is told, bytes: less than what keeps back what everyone is told."""
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
    families: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.families = frozenset(each.family for each in self.asked.values())


class Frame:
    """What one sample tells; each value is marshalled once, for all who asked for it."""

    def __init__(self, instant: Instant, readings: Mapping[str, Mapping[str, Reading]]) -> None:
        self.instant = instant
        self._moments = _MOMENTS.pack(round(instant.since_boot * 1e6), round(instant.time * 1e6))
        self._readings = readings
        self._entries: dict[str, dict[str, bytes]] = {}
        self._bodies: dict[tuple[str, ...], bytes] = {}

    def body(self, watch: Watch) -> bytes:
        """Return the body of a watch's Sample."""
        if watch.lost:
            return _NUMBER.pack(watch.number) + self._body(watch.asked, {LOST: entry(LOST, "t", watch.lost)})
        asked = tuple(watch.asked)
        shared = self._bodies.get(asked)
        if shared is None:
            shared = self._bodies[asked] = self._body(watch.asked, {})
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
        self, connection: Connection, source: Rhythm, interval: float, failed: Callable[["Pace", BaseException], None]
    ) -> None:
        self.watches: dict[int, Watch] = {}
        self._connection = connection
        self._source = source
        self._interval = interval
        self._failed = failed
        self._taken: dict[str, int] = {}
        """Samples since it was chosen, by family."""
        self._readings: dict[str, Mapping[str, Reading]] = {}
        self._frame: Frame | None = None
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
            self._frame = Frame(sample.instant, self._readings)
            turn = self._turn(sample.instant)
            due = [watch for watch in self.watches.values() if watch.begun and watch.turn < turn]
            self._tell(self._frame, [watch for watch in due if self._is_known(watch)])

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
        if self._frame and watch.number in self.watches and self._is_known(watch):
            self._tell(self._frame, [watch])

    def _tell(self, frame: Frame, watches: Iterable[Watch]) -> None:
        keeps_up = self._connection.backlog <= BACKLOG
        signals = []
        for watch in watches:
            watch.turn = self._turn(frame.instant)
            if keeps_up and watch.watcher.has_room():
                body = frame.body(watch)
                watch.watcher.sent(watch.signal.size + len(body))
                signals.append((watch.signal, body))
            else:
                watch.lost += 1
        self._connection.deliver(signals)
