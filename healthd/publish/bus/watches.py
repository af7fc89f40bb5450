"""Watches: who is told of some metrics oftener than everyone, and as they are observed."""

import itertools
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from healthd import protocol
from healthd.dbus import FAILED, INVALID_ARGS, Answer, Call, Connection, Patient, Reply, Unicast, Variant
from healthd.errors import BusLost, CallError
from healthd.model import Family, Metric
from healthd.publish.bus.behind import Control
from healthd.publish.bus.pace import SIGNATURE, Asked, Pace, Watch
from healthd.publish.bus.values import UNKNOWN, wire
from healthd.publish.bus.watcher import Watcher

MOST_METRICS, MOST_METRICS_OF_USER = 1024, 4096
"""How many metrics one watch may name, and all of one user together."""
MOST_OF_CONNECTION, MOST_OF_USER, MOST = 16, 64, 96
"""How many watches there may be: fewer than the calls of ours that the bus lets wait for their answers."""
MOST_PACES_OF_USER, MOST_PACES = 8, 16
"""How many intervals: each keeps files open."""
_SLOWEST = 3600.0

_log = logging.getLogger(__name__)


class Watches:
    """The watches of the clients on one connection.

    `metric` finds one by its name `family.field`, raising CallError; without `control` nothing is observed.
    """

    def __init__(
        self, connection: Connection, metric: Callable[[str], tuple[Family, Metric]], control: Control | None
    ) -> None:
        self._connection = connection
        self._metric = metric
        self._faster = control.faster if control else None
        self._watchers: dict[str, Watcher] = {}
        self._paces: dict[float, Pace] = {}
        """By interval, seconds."""
        self._numbers = itertools.count(1)
        # With the bus all clients are gone.
        connection.lost.add_done_callback(lambda _: self.close(""))

    def __len__(self) -> int:
        return sum(len(pace.watches) for pace in self._paces.values())

    def answer(self, call: Call, usual: float) -> Answer:
        """Answer Watch or Unwatch; the interval is `usual` (seconds) where none is asked for.

        Raises CallError.
        """
        if self._faster is None:
            raise CallError(protocol.NOT_AVAILABLE, "nothing is observed in a replay")
        if call.member == "Unwatch":
            return self._unwatch(call)
        metrics, options = call.body
        asked, interval = self._asked(metrics), _interval(options, usual)
        if known := self._watchers.get(call.sender):
            return self._watch(known, asked, interval)
        return Patient(self._begin(call.sender, asked, interval))

    async def _begin(self, name: str, asked: Mapping[str, Asked], interval: float) -> Reply:
        """Watch for a client that has no watch yet."""
        try:
            (user,) = await self._connection.call_driver("GetConnectionUnixUser", "s", name)
        except BusLost as error:
            raise CallError(FAILED, str(error)) from error
        # There may be one by now: it has called twice.
        watcher = self._watchers.get(name) or Watcher(
            self._connection, name, user, gone=self._gone, slow=self._slow, idle=self._settle
        )
        self._watchers[name] = watcher
        try:
            return self._watch(watcher, asked, interval)
        finally:
            self._settle(watcher)

    def _watch(self, watcher: Watcher, asked: Mapping[str, Asked], interval: float) -> Reply:
        assert self._faster
        self._require_room(watcher, interval, len(asked))
        pace = self._paces.get(interval)
        if pace is None:
            pace = self._paces[interval] = Pace(self._connection, self._faster(interval), interval, self._failed)
        signal = Unicast(watcher.name, protocol.ROOT, protocol.MANAGER, "Sample", SIGNATURE)
        watch = Watch(next(self._numbers), watcher, asked, signal)
        watcher.begin()
        watcher.watches.add(watch.number)
        pace.add(watch)
        return Reply("ua{sv}", (watch.number, {"interval_usec": Variant("t", round(interval * 1e6))}))

    def _unwatch(self, call: Call) -> Reply:
        (number,) = call.body
        watcher = self._watchers.get(call.sender)
        if watcher is None or number not in watcher.watches:
            raise CallError(protocol.UNKNOWN_WATCH, f"you have no watch {number}")
        self._close(watcher, [number], "")
        return Reply()

    def close(self, reason: str) -> None:
        """End all watches; who has one is told why, unless that is ""."""
        for watcher in list(self._watchers.values()):
            self._close(watcher, list(watcher.watches), reason)
            watcher.end()
        self._watchers.clear()

    def _asked(self, addresses: Sequence[str]) -> dict[str, Asked]:
        """Return what addresses mean, whether it is there now or not."""
        if not 0 < len(addresses) <= MOST_METRICS:
            raise CallError(INVALID_ARGS, f"a watch is of 1 to {MOST_METRICS} metrics, not {len(addresses)}")
        asked = {}
        for address in addresses:
            name, at, instance = address.partition("@")
            family, metric = self._metric(name)
            if at and (family.single or not instance):
                raise CallError(protocol.NOT_AVAILABLE, f"{family.name} has no instance {instance!r:.100}")
            asked[address] = Asked(family.name, metric, instance if at else None)
        return asked

    def _require_room(self, watcher: Watcher, interval: float, metrics: int) -> None:
        """Raise CallError where there are as many watches as there may be."""
        of_user = [
            (known, watch)
            for known, pace in self._paces.items()
            for watch in pace.watches.values()
            if watch.watcher.user == watcher.user
        ]
        paces = {known for known, _ in of_user}
        named = sum(len(watch.asked) for _, watch in of_user)
        # Who still owes an answer has no watch any more, and yet takes a place.
        others = (each for each in self._watchers.values() if each is not watcher)
        owing = [each.user for each in others if each.owes and not each.watches]
        caps = [
            (len(watcher.watches), MOST_OF_CONNECTION, "watches of this connection"),
            (len(of_user) + owing.count(watcher.user), MOST_OF_USER, "watches of this user"),
            (len(self) + len(owing), MOST, "watches"),
            (named + metrics - 1, MOST_METRICS_OF_USER, "metrics in the watches of this user"),
            (len({*paces, interval}) - 1, MOST_PACES_OF_USER, "intervals of the watches of this user"),
            (len({*self._paces, interval}) - 1, MOST_PACES, "intervals of watches"),
        ]
        for count, most, what in caps:
            if count >= most:
                raise CallError(protocol.TOO_MANY_WATCHES, f"there can't be more than {most} {what}")

    def _gone(self, watcher: Watcher, reason: str) -> None:
        self._close(watcher, list(watcher.watches), reason)
        watcher.end()
        self._watchers.pop(watcher.name, None)

    def _slow(self, watcher: Watcher) -> None:
        _log.debug("%s does not take what it is sent: its watches are closed", watcher.name)
        self._close(watcher, list(watcher.watches), protocol.WATCHER_SLOW)

    def _failed(self, pace: Pace, fault: BaseException) -> None:
        _log.error("what is watched can't be observed", exc_info=fault)
        for watch in list(pace.watches.values()):
            self._close(watch.watcher, [watch.number], protocol.FAILED)

    def _settle(self, watcher: Watcher) -> None:
        """Forget a client that neither watches nor owes an answer."""
        if self._watchers.get(watcher.name) is watcher and watcher.is_done():
            del self._watchers[watcher.name]
            watcher.end()

    def _close(self, watcher: Watcher, numbers: Collection[int], reason: str) -> None:
        if reason:
            signal = Unicast(watcher.name, protocol.ROOT, protocol.MANAGER, "WatchClosed", "us")
            self._connection.deliver((signal, Reply("us", (number, wire("s", reason))).encoded) for number in numbers)
        watcher.watches.difference_update(numbers)
        for interval, pace in list(self._paces.items()):
            pace.drop(numbers)
            if not pace.watches:
                pace.end()
                del self._paces[interval]
        self._settle(watcher)


def _interval(options: dict[str, Any], usual: float) -> float:
    """Return the interval that is asked for, on the grid of the smallest one, seconds."""
    for name in options.keys() - {"interval_usec"}:
        raise CallError(INVALID_ARGS, f"the options are interval_usec (t), not {name!r:.100}")
    asked = options.get("interval_usec", Variant("t", UNKNOWN["t"]))
    if asked.signature != "t":
        raise CallError(INVALID_ARGS, f"the options are interval_usec (t), not {asked.signature}")
    seconds = usual if asked.value in (0, UNKNOWN["t"]) else asked.value / 1e6
    steps = max(round(min(seconds, _SLOWEST) / protocol.MIN_WATCH_INTERVAL), 1)
    return steps * protocol.MIN_WATCH_INTERVAL
