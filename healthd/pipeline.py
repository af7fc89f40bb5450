"""One cycle, stage by stage: observe -> state -> health -> publish."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Any

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import BadEvent
from healthd.events import changes
from healthd.health.judge import Judge
from healthd.health.rule import Rule
from healthd.model import Cycle, Event, Publisher, Sample, Snapshot, Source
from healthd.state.history import History
from healthd.state.store import Store

_log = logging.getLogger(__name__)

_NO_DATA: Mapping[str, Any] = {}


class Pipeline:
    """The only place where the stages meet."""

    def __init__(
        self, source: Source, store: Store, judge: Judge, history: History, publishers: Iterable[Publisher]
    ) -> None:
        self._source = source
        self._store = store
        self._judge = judge
        self._history = history
        self._publishers = list(publishers)
        self._failing: set[Publisher] = set()
        self._before: Snapshot | None = None
        self._refused = ""

    @property
    def snapshot(self) -> Snapshot | None:
        """What is known now."""
        return self._before

    async def cycle(self) -> bool:
        """Go once through the stages, and tell whether anything was published."""
        sample = await self._source.sample()
        if sample.begins or sample.states is not None:
            self._resume(sample)
        snapshot, transitions = self._judge.take(self._store.accept(sample), sample.events)
        if self._refused:
            snapshot = replace(snapshot, configuration=self._refused)
        self._history.take(snapshot)
        before = None if sample.begins else self._before
        self._before = snapshot
        if sample.silent:
            return False
        during, after = _apart(sample)
        events = [*during, *changes(before, snapshot), *transitions, *after]
        self._publish(Cycle(before, snapshot, tuple(events), sample.states))
        return True

    def _resume(self, sample: Sample) -> None:
        try:
            self._judge.resume(sample.states)
        except BadEvent as error:
            _log.warning("judging begins anew: %s", error)
            self._judge.resume(None)

    def adopt(self, rules: Sequence[Rule]) -> None:
        """Judge by these rules from the next cycle on, and take back that a configuration was refused."""
        self._judge.adopt(rules)
        self._refused = ""

    def refuse(self, instant: Instant, faults: Sequence[str]) -> None:
        """Take in, and publish, that a configuration has faults, and the one before stays in force."""
        self._refused = "\n".join(faults)
        if last := self._before:
            self._before = replace(last, configuration=self._refused)
            event = Event(instant, protocol.CONFIG_REFUSED, {"faults": list(faults)}, last.boot_id, last.seq)
            self._publish(Cycle(last, self._before, (event,)))
        else:
            _log.error("the configuration before stays in force, as this one has faults: %s", "; ".join(faults))

    def acknowledge(self, instant: Instant, rule: str, instance: str, who: str, until: float) -> None:
        """Take in, and publish, that somebody has taken note of a condition; raises KeyError where there is none."""
        last = self._before
        if last is None:
            raise KeyError(rule)
        health = self._judge.acknowledge(rule, instance, who, instant.time, until)
        self._before = replace(last, health=health)
        data = {"condition": rule, "instance": instance, "who": who, "until": until if until < inf else None}
        event = Event(instant, protocol.HEALTH_ACKNOWLEDGED, data, last.boot_id, last.seq)
        self._publish(Cycle(last, self._before, (event,)))

    def witness(self, instant: Instant, data: Mapping[str, Any]) -> None:
        """Take in, and publish, who used most of what ran short."""
        self._judge.saw(instant.time, data)
        self.tell(instant, protocol.HEALTH_WITNESSED, data)

    def tell(self, instant: Instant | None = None, name: str = "", data: Mapping[str, Any] = _NO_DATA) -> None:
        """Publish what happened after the last cycle; or only what a publisher could not take of that."""
        last = self._before
        if last:
            events = (Event(instant, name, data, last.boot_id, last.seq),) if instant else ()
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


def _apart(sample: Sample) -> tuple[list[Event], list[Event]]:
    """Return what happened besides until the sample, and what happened after it."""
    after = [event for event in sample.events if event.name in protocol.BETWEEN_SAMPLES]
    return [event for event in sample.events if event not in after], after
