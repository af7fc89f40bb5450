"""One cycle, stage by stage: observe -> state -> publish."""

import logging
from collections.abc import Iterable

from healthd.model import Cycle, Publisher, Snapshot, Source
from healthd.state.store import Store

_log = logging.getLogger(__name__)


class Pipeline:
    """The only place where the stages meet."""

    def __init__(self, source: Source, store: Store, publishers: Iterable[Publisher]) -> None:
        self._source = source
        self._store = store
        self._publishers = list(publishers)
        self._failing: set[Publisher] = set()
        self._before: Snapshot | None = None

    async def cycle(self, *, first: bool = False) -> None:
        """Go once through the stages; `first` observes everything that changes each tick, whatever is due."""
        sample = await self._source.sample(first=first)
        snapshot = self._store.accept(sample)
        cycle = Cycle(self._before, snapshot)
        self._before = snapshot
        for publisher in self._publishers:
            self._publish(publisher, cycle)

    def _publish(self, publisher: Publisher, cycle: Cycle) -> None:
        """One way outside that fails must not close the others; it is said once, until it works again."""
        try:
            publisher.publish(cycle)
        except Exception:  # noqa: BLE001  # isolation: a publisher's fault stays with it
            if publisher not in self._failing:
                _log.exception("publishing by %s failed", type(publisher).__name__)
            self._failing.add(publisher)
        else:
            self._failing.discard(publisher)
