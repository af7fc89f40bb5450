"""One cycle, stage by stage: observe -> state -> publish."""

import logging
from collections.abc import Iterable, Iterator

from healthd import protocol
from healthd.clock import Instant
from healthd.events import changes
from healthd.model import Cycle, Event, Publisher, Sample, Snapshot, Source
from healthd.state.history import History
from healthd.state.store import Store

_log = logging.getLogger(__name__)


class Pipeline:
    """The only place where the stages meet."""

    def __init__(self, source: Source, store: Store, history: History, publishers: Iterable[Publisher]) -> None:
        self._source = source
        self._store = store
        self._history = history
        self._publishers = list(publishers)
        self._failing: set[Publisher] = set()
        self._before: Snapshot | None = None

    async def cycle(self) -> bool:
        """Go once through the stages, and tell whether anything was published."""
        sample = await self._source.sample()
        snapshot = self._store.accept(sample)
        self._history.take(snapshot)
        before = None if sample.begins else self._before
        self._before = snapshot
        if sample.silent:
            return False
        self._publish(Cycle(before, snapshot, tuple(_events(before, snapshot, sample))))
        return True

    def tell(self, instant: Instant | None = None, name: str = "") -> None:
        """Publish what happened after the last cycle; or only what a publisher could not take of that."""
        last = self._before
        if last:
            events = (Event(instant, name, {}, last.boot_id, last.seq),) if instant else ()
            self._publish(Cycle(last, last, events))

    def _publish(self, cycle: Cycle) -> None:
        for publisher in self._publishers:
            self._publish_by(publisher, cycle)

    def _publish_by(self, publisher: Publisher, cycle: Cycle) -> None:
        """One way outside that fails must not close the others; it is said once, until it works again."""
        try:
            publisher.publish(cycle)
        except Exception:  # noqa: BLE001  # isolation: a publisher's fault stays with it
            if publisher not in self._failing:
                _log.exception("publishing by %s failed", publisher.name)
            self._failing.add(publisher)
        else:
            self._failing.discard(publisher)


def _events(before: Snapshot | None, snapshot: Snapshot, sample: Sample) -> Iterator[Event]:
    """Yield what happened besides, and what changed, in the order of time."""
    after = [
        event for event in sample.events if event.instant > sample.instant or event.name == protocol.RUNTIME_STOPPED
    ]
    yield from (event for event in sample.events if event not in after)
    yield from changes(before, snapshot)
    yield from after
