"""Events back into samples: what was observed, from what was recorded of it."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from healthd import observe, protocol
from healthd.clock import Instant
from healthd.errors import BadEvent
from healthd.events import reading_from
from healthd.model import SINGLE, Event, Family, Observation, Problem, Reading, Sample
from healthd.recording import Fault, Segment, events

Report = Callable[[Fault], None]

_PASSED_ON = (
    protocol.RUNTIME_STARTED,
    protocol.RUNTIME_STOPPED,
    protocol.RUNTIME_GAP,
    protocol.HEALTH_ACKNOWLEDGED,
    protocol.HEALTH_WITNESSED,
    protocol.CONFIG_LOADED,
    protocol.CONFIG_REFUSED,
)
_FAILED = (protocol.COLLECTOR_FAILED, protocol.COLLECTOR_DISABLED)
_RECOVERED = (protocol.COLLECTOR_RECOVERED, protocol.COLLECTOR_ENABLED)
_CHANGES = (
    *_FAILED,
    *_RECOVERED,
    protocol.INSTANCE_ADDED,
    protocol.INSTANCE_REMOVED,
)
_EARLY = 0.05
# No machine is silent for longer than a few samples; what a damaged file says must not be made up for.
_MOST_SILENT = 20_000


class _Known:
    """What is known of one family."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.readings: dict[str, Reading] = {}
        self.problems: dict[str, Problem] = {}
        self.failures = 0
        self.touched = True
        self._told: set[str] = set()
        """The fields that were ever told of, which are those that the healthd that recorded it knew."""
        self._due = -math.inf
        self._available: Mapping[str, Reading] = {}

    def merge(self, instance: str, data: Any) -> None:
        """Take in the fields that changed."""
        self.readings[instance] = reading_from(self.family, data, self.readings.get(instance, self.family.unknown))
        self._told |= self.family.by_name.keys() & data.keys()
        self.touched = True

    def fail(self, instance: str, problem: Problem) -> None:
        """Take in that an instance, or the whole family, is unavailable; only a timeout leaves its values known."""
        self.problems = self.problems | {instance: problem}
        self.failures += problem.code not in protocol.NO_FAULTS
        if problem.code != protocol.TIMEOUT:
            for lost in self.readings if instance == SINGLE else [instance]:
                self.readings[lost] = self.family.unknown
        self.touched = True

    def recover(self, instance: str) -> None:
        """Take in that an instance can be observed again."""
        self.problems = {name: problem for name, problem in self.problems.items() if name != instance}
        self.touched = True

    def recalled(self) -> Mapping[str, Reading]:
        """Return all readings, with what follows from them."""
        return observe.recalled(self.family, self.readings, self._told)

    def observation(self, instant: Instant, interval: float) -> Observation | None:
        """Return what was observed at this time, `None` where it was not yet time to."""
        if not self.touched and instant.since_boot + _EARLY < self._due:
            return None
        if self.touched:
            whole = SINGLE in self.problems
            self._available = {
                instance: reading
                for instance, reading in self.recalled().items()
                if not whole and instance not in self.problems
            }
            self.touched = False
        period = max(self.family.every, interval)
        self._due = (math.floor((instant.since_boot + _EARLY) / period) + 1) * period
        return Observation(self.family, instant, self._available, self.problems, 0.0, self.failures)


class Rewind:
    """Turns events back into samples: the accepted readings are what was observed.

    A cycle that left no event observed what was known: it is made up for at the time when it was due.
    """

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = {family.name: family for family in families}
        self._by_event = {family.event: family for family in self._families.values()}
        self._known: dict[str, _Known] = {}
        self._group: list[Event] = []
        self._last: Event | None = None
        """Instant and number of the last sample."""
        self._interval = protocol.INTERVAL
        self._ready = False
        """Whether there was a snapshot, without which changes say nothing."""
        self._begins = False
        self._silent = False
        self._states: Mapping[str, Any] | None = None
        self.unknown: Counter[str] = Counter()
        """How many events there were of each name, or family, that is not known here."""

    def samples(self, recorded: Iterable[Segment], report: Report) -> Iterator[Sample]:
        """Yield the samples of segments; what can't be understood is reported and passed over."""
        for segment in recorded:
            for number, event in events(segment.path, report):
                try:
                    yield from self._take(event)
                except BadEvent as error:
                    report(Fault(segment.path, number, str(error)))
        if self._group:
            yield self._finish()

    def _take(self, event: Event) -> Iterator[Sample]:
        """Take an event in; where it is the first of a sample, yield those before."""
        if event.name == protocol.HISTORY:
            return
        starts = event.name == protocol.SNAPSHOT and not event.data.get("readings")
        if self._group and (starts or self._group[0][3:] != event[3:]):
            yield self._finish()
        if not self._group and not starts:
            yield from self._silence(event)
        if event.name == protocol.SNAPSHOT:
            yield from self._load(event)
            return
        if not self._ready:
            raise BadEvent("there is no snapshot before it")
        if self._last and not self._begins and self._last.boot_id == event.boot_id and event.seq <= self._last.seq:
            raise BadEvent(f"sample {event.seq} comes after sample {self._last.seq}")
        if self._follow(event):
            self._group.append(event)
        else:
            self.unknown[_called(event)] += 1

    def _follow(self, event: Event) -> bool:
        """Take in what an event of a sample says, and tell whether it is known here."""
        if event.name in self._by_event:
            self._merge(self._by_event[event.name], event.data)
        elif event.name in _CHANGES:
            return self._change(event.name, event.data)
        elif event.name == protocol.CONFIG_LOADED:
            self._configure(event.data)
        # A transition is told again by whoever judges; but it may be all that a sample brought.
        return event.name in (*self._by_event, *_CHANGES, *_PASSED_ON, protocol.HEALTH_TRANSITION)

    def _silence(self, following: Event) -> Iterator[Sample]:
        """Yield the samples that left no event before this one."""
        last = self._last
        if last is None or self._begins or last.boot_id != following.boot_id:
            return
        tick = math.floor((last.instant.since_boot + _EARLY) / self._interval) * self._interval
        for seq in range(last.seq + 1, min(following.seq, last.seq + _MOST_SILENT)):
            tick += self._interval
            if tick >= following.instant.since_boot:
                return
            time = last.instant.time + tick - last.instant.since_boot
            self._last = following._replace(instant=Instant(round(time, 3), round(tick, 3), 0.0), seq=seq)
            yield self._sample(self._last)

    def _finish(self) -> Sample:
        """Return the sample of what was taken in."""
        group, self._group = self._group, []
        self._last = at = self._sampled(group[0])
        sample = self._sample(at, tuple(event for event in group if event.name in _PASSED_ON))
        self._begins = self._silent = False
        return sample

    def _sampled(self, first: Event) -> Event:
        """Return the first event of a sample itself; where it left none, one at the time when it was due."""
        last = self._last
        if last is None or self._begins or first.name not in protocol.BETWEEN_SAMPLES or first.boot_id != last.boot_id:
            return first
        due = math.floor((first.instant.since_boot + _EARLY) / self._interval) * self._interval
        due = max(due, last.instant.since_boot)
        time = first.instant.time + due - first.instant.since_boot
        return first._replace(instant=Instant(round(time, 3), round(due, 3), 0.0))

    def _sample(self, at: Event, passed: tuple[Event, ...] = ()) -> Sample:
        observations = [known.observation(at.instant, self._interval) for known in self._known.values()]
        found = tuple([observation for observation in observations if observation])
        states, self._states = self._states, None
        return Sample(
            at.instant,
            at.boot_id,
            at.seq,
            found,
            self._interval,
            passed,
            begins=self._begins,
            silent=self._silent,
            states=states,
        )

    def _before_timeouts(self, at: Event) -> Sample:
        """Return a sample in which nothing had timed out yet: so the last values are known."""
        found = tuple(
            Observation(
                known.family,
                at.instant,
                known.recalled(),
                {name: problem for name, problem in known.problems.items() if problem.code != protocol.TIMEOUT},
                0.0,
                0,
            )
            for known in self._known.values()
        )
        return Sample(at.instant, at.boot_id, at.seq, found, self._interval, (), begins=False, silent=True)

    def _load(self, event: Event) -> Iterator[Sample]:
        """Take a snapshot in: an empty one says that healthd was started there; the first one comes silently."""
        readings, unavailable = _object(event.data, "readings"), _object(event.data, "unavailable")
        schema = event.data.get("schema")
        if schema != protocol.SCHEMA_VERSION:
            self._ready = False
            raise BadEvent(
                f"it was written with schema {schema!r:.20}, and this healthd reads {protocol.SCHEMA_VERSION}"
            )
        interval = _interval(event.data)
        known = {name: self._loaded(name, data) for name, data in readings.items() if name in self._families}
        for address, problem in unavailable.items():
            name, _, instance = address.partition("@")
            if name in self._families:
                if instance and self._families[name].single:
                    raise BadEvent(f"{name} has no instance {instance!r:.40}")
                known.setdefault(name, _Known(self._families[name])).problems[instance] = _problem(problem)
        self._known, self._interval = known, interval
        self._silent, self._ready = not self._ready, True
        begins = not readings and not unavailable
        if "states" in event.data and (begins or self._silent):
            self._states = _object(event.data, "states")
        if begins:
            self._begins, self._silent = True, False
            return
        self._group.append(event)
        if self._silent:
            # What has timed out was observed before: so its last values are known.
            yield self._before_timeouts(event)

    def _configure(self, data: Mapping[str, Any]) -> None:
        """Take a configuration in: from there on everything is observed anew."""
        self._interval = _interval(data)
        for known in self._known.values():
            known.touched = True

    def _loaded(self, name: str, data: Any) -> _Known:
        known = _Known(self._families[name])
        for instance, fields in ({SINGLE: data} if known.family.single else _all(name, data)).items():
            known.merge(instance, fields)
        return known

    def _merge(self, family: Family, data: Mapping[str, Any]) -> None:
        known = self._known.setdefault(family.name, _Known(family))
        for instance, fields in ({SINGLE: data} if family.single else data).items():
            if instance == SINGLE and not family.single:
                raise BadEvent(f"an instance of {family.name} has no name")
            known.merge(instance, fields)

    def _change(self, name: str, data: Mapping[str, Any]) -> bool:
        """Take in what became of a family or an instance, and tell whether there is such a family here."""
        named, instance = data.get("family"), data.get("instance")
        if not isinstance(named, str) or not isinstance(instance, str):
            raise BadEvent("it names no family, or no instance")
        family = self._families.get(named)
        if family is None:
            return False
        if not _possible(family, name, instance):
            raise BadEvent(f"{named} can have no such instance")
        known = self._known.setdefault(family.name, _Known(family))
        if name in _FAILED:
            known.fail(instance, _problem(data))
        elif name in _RECOVERED:
            known.recover(instance)
        elif name == protocol.INSTANCE_REMOVED:
            known.readings.pop(instance, None)
        else:
            known.readings.setdefault(instance, family.unknown)
        known.touched = True
        return True


def _called(event: Event) -> str:
    """Return how an event that is not known here is called: one of all families is so for its family."""
    return f"{event.name} of {event.data['family']!r:.40}" if event.name in _CHANGES else event.name


def _possible(family: Family, name: str, instance: str) -> bool:
    """Tell whether an event of this name can be of this instance: a whole family only fails and recovers."""
    if instance == SINGLE:
        return name in (*_FAILED, *_RECOVERED)
    return not family.single


_SHORTEST, _LONGEST = 0.01, 86400.0


def _interval(data: Mapping[str, Any]) -> float:
    interval = data.get("interval")
    if not isinstance(interval, float | int) or not _SHORTEST <= interval <= _LONGEST:
        raise BadEvent(f"{interval!r:.20} is no interval")
    return float(interval)


def _object(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    return _all(key, data.get(key))


def _all(what: str, data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise BadEvent(f"{what} is no object")
    return data


def _problem(data: Any) -> Problem:
    match data:
        case {"problem": str(code), "reason": str(reason), "remedy": str(remedy)}:
            return Problem(code, reason, remedy)
    raise BadEvent("problem, reason or remedy is missing, or no text")
