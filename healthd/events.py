"""What is streamed and answered as JSON: the one encoder.

An event is one line: `{"time":"2026-01-01T12:00:00.000Z","name":"system.load.updated","data":{…},"boot_id":…,
"since_boot":…,"seq":…}`. Unknown is `null`.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from healthd import protocol
from healthd.clock import Instant, iso
from healthd.model import SINGLE, Entry, Family, Observation, Problem, Reading, Snapshot

_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class Event(NamedTuple):
    """What happened: a time, a name, data."""

    instant: Instant
    name: str
    data: Mapping[str, Any]
    boot_id: str
    seq: int


def encode(event: Event) -> str:
    """Return an event as one line of JSON, without its end."""
    return _encode(
        {
            "time": iso(event.instant.time),
            "name": event.name,
            "data": event.data,
            "boot_id": event.boot_id,
            "since_boot": event.instant.since_boot,
            "seq": event.seq,
        }
    )


def changes(before: Snapshot | None, snapshot: Snapshot) -> Iterator[Event]:
    """Yield what a cycle brought: collectors that fail or recover, instances that come and go, accepted readings."""
    for name, observation in snapshot.latest.items():
        old = before.latest.get(name) if before else None
        if old is not observation:
            for event, data in _collector(old, observation):
                yield Event(snapshot.instant, event, data, snapshot.boot_id, snapshot.seq)
        entries = snapshot.entries[name]
        known = before.entries.get(name, {}) if before else {}
        if entries is not known:
            for event, data in _entries(observation.family, known, entries):
                yield Event(snapshot.instant, event, data, snapshot.boot_id, snapshot.seq)


def _collector(old: Observation | None, new: Observation) -> Iterator[tuple[str, dict[str, Any]]]:
    before = old.problems if old else {}
    for instance, problem in new.problems.items():
        if instance not in before or before[instance].code != problem.code:
            yield protocol.COLLECTOR_FAILED, {"family": new.family.name, "instance": instance, **_problem(problem)}
    for instance in before:
        if instance not in new.problems:
            yield protocol.COLLECTOR_RECOVERED, {"family": new.family.name, "instance": instance}


def _entries(
    family: Family, known: Mapping[str, Entry], entries: Mapping[str, Entry]
) -> Iterator[tuple[str, dict[str, Any]]]:
    if not family.single:
        for instance in entries:
            if instance not in known:
                yield protocol.INSTANCE_ADDED, {"family": family.name, "instance": instance}
    accepted = {
        instance: reading_data(entry.reading)
        for instance, entry in entries.items()
        if entry.status.available and entry is not known.get(instance)
    }
    if accepted:
        yield family.event, accepted[SINGLE] if family.single else accepted
    if not family.single:
        for instance in known:
            if instance not in entries:
                yield protocol.INSTANCE_REMOVED, {"family": family.name, "instance": instance}


def reading_data(reading: Reading, latest: Reading | None = None) -> dict[str, Any]:
    """Return a reading by its fields; what is `live` comes from the `latest` one where that is given."""
    return {
        metric.name: _plain(getattr(latest if latest is not None and metric.live else reading, metric.name))
        for metric in reading.metrics
    }


def _encode(content: Mapping[str, Any]) -> str:
    # A lone surrogate is no UTF-8; what it becomes here is its escape in JSON.
    return _json.encode(content).encode("utf-8", "backslashreplace").decode()


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _problem(problem: Problem) -> dict[str, str]:
    return {"problem": problem.code, "reason": problem.reason, "remedy": problem.remedy}


def describe(snapshot: Snapshot, interval: float) -> str:
    """Return the whole snapshot as one JSON object.

    Keys: `version`, `time`, `boot_id`, `since_boot` and `interval` (seconds), `seq`, `health` (`severity`,
    `reasons`), `readings` by family and, where a family has several, by instance, and `unavailable` (`problem`,
    `reason`, `remedy`) by family or `family@instance`.
    """
    readings: dict[str, Any] = {}
    unavailable: dict[str, dict[str, str]] = {}
    for name, observation in snapshot.latest.items():
        found = {
            instance: reading_data(entry.reading, observation.readings.get(instance))
            for instance, entry in snapshot.entries[name].items()
        }
        readings[name] = found[SINGLE] if observation.family.single else found
        for instance, problem in observation.problems.items():
            unavailable[f"{name}@{instance}" if instance else name] = _problem(problem)
    return _encode(
        {
            "version": protocol.VERSION,
            "time": iso(snapshot.instant.time),
            "boot_id": snapshot.boot_id,
            "since_boot": snapshot.instant.since_boot,
            "interval": interval,
            "seq": snapshot.seq,
            "health": {"severity": snapshot.health.severity, "reasons": snapshot.health.reasons},
            "readings": readings,
            "unavailable": unavailable,
        }
    )
