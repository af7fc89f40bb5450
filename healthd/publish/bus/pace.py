"""What is observed for watches: one rhythm for all that ask for the same families at the same interval."""

import asyncio
import math
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
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
_LEAST = 0.08
"""Between two samples, seconds."""
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


class Frame:
    """What one sample tells; each value is marshalled once, for all who asked for it."""

    def __init__(self, instant: Instant, readings: Mapping[str, Mapping[str, Reading]]) -> None:
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
    """Observes for its watches, and tells each of them of every sample.

    `failed` is called, with what it failed by, where that can't go on.
    """

    def __init__(self, connection: Connection, source: Rhythm, failed: Callable[["Pace", BaseException], None]) -> None:
        self.watches: dict[int, Watch] = {}
        self._connection = connection
        self._source = source
        self._failed = failed
        self._readings: dict[str, Mapping[str, Reading]] = {}
        self._frame: Frame | None = None
        self._loop = asyncio.get_running_loop()
        self._observing = self._loop.create_task(self._observe())
        self._observing.add_done_callback(self._ended)

    def add(self, watch: Watch) -> None:
        """Tell a watch of the last sample, soon, and of each from then on: by then its client knows the number."""
        self.watches[watch.number] = watch
        self._loop.call_later(_FIRST, self._begin, watch)

    def end(self) -> None:
        """Observe no more."""
        self._observing.cancel()
        self._source.end()

    async def _observe(self) -> None:
        taken = -math.inf
        async for _ in self._source.ticks():
            # The first tick can be any time after the second sample, and over less than that rates say little.
            if self._loop.time() - taken < _LEAST:
                continue
            taken = self._loop.time()
            sample = await self._source.sample()
            for observation in sample.observations:
                self._readings[observation.family.name] = observation.readings
            # With the second there are rates.
            if sample.seq > 1:
                self._frame = Frame(sample.instant, self._readings)
                self._tell(self._frame, [watch for watch in self.watches.values() if watch.begun])

    def _ended(self, observing: "asyncio.Task[None]") -> None:
        if not observing.cancelled() and (fault := observing.exception()):
            self._failed(self, fault)

    def _begin(self, watch: Watch) -> None:
        watch.begun = True
        if self._frame and watch.number in self.watches:
            self._tell(self._frame, [watch])

    def _tell(self, frame: Frame, watches: Iterable[Watch]) -> None:
        keeps_up = self._connection.backlog <= BACKLOG
        signals = []
        for watch in watches:
            if keeps_up and watch.watcher.has_room():
                body = frame.body(watch)
                watch.watcher.sent(watch.signal.size + len(body))
                signals.append((watch.signal, body))
            else:
                watch.lost += 1
        self._connection.deliver(signals)
