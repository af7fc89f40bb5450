"""One cycle, stage by stage: observe -> state -> publish."""

from collections.abc import Iterable

from healthd.clock import Clock
from healthd.model import Cycle, Publisher, Sample, Snapshot
from healthd.observe import Runner
from healthd.state.store import Store


class Pipeline:
    """The only place where the stages meet."""

    def __init__(self, clock: Clock, runner: Runner, store: Store, publishers: Iterable[Publisher]) -> None:
        self._clock = clock
        self._runner = runner
        self._store = store
        self._publishers = list(publishers)
        self._seq = 0
        self._before: Snapshot | None = None

    async def cycle(self, *, first: bool = False) -> None:
        """Go once through the stages; `first` observes everything whatever is due."""
        now = self._clock.now()
        observations = await self._runner.observe(now, first=first)
        self._seq += 1
        snapshot = self._store.accept(Sample(now, self._seq, observations))
        cycle = Cycle(self._before, snapshot)
        self._before = snapshot
        for publisher in self._publishers:
            publisher.publish(cycle)
