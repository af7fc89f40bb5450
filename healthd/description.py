"""A snapshot as one object: what `Describe` answers, and what a segment of a recording opens with."""

from typing import Any

from healthd import protocol
from healthd.clock import iso
from healthd.events import problem_data, to_json
from healthd.model import SINGLE, Cycle, Event, HealthReport, Reading, Snapshot


def describe(snapshot: Snapshot) -> str:
    """Return the whole snapshot as one JSON object.

    Keys: `version`, `time`, `boot_id`, `since_boot` and `interval` (seconds), `seq`, `configuration` (the faults
    of one that was refused, a line each; "" where it is in force), `health` (`severity`,
    `reasons`), `readings` by family and, where a family has several, by instance, and `unavailable` (`problem`,
    `reason`, `remedy`) by family or `family@instance`.
    """
    return to_json(
        {
            "version": protocol.VERSION,
            "time": iso(snapshot.instant.time),
            "boot_id": snapshot.boot_id,
            "since_boot": snapshot.instant.since_boot,
            "interval": snapshot.interval,
            "seq": snapshot.seq,
            "configuration": snapshot.configuration,
            **_state(snapshot),
        }
    )


def _state(snapshot: Snapshot) -> dict[str, Any]:
    """Return what `describe` and `opening` tell of a snapshot: health, readings, and what is unavailable."""
    readings: dict[str, Any] = {}
    unavailable: dict[str, dict[str, str]] = {}
    for name, observation in snapshot.latest.items():
        found = {
            instance: reading_data(entry.reading, observation.readings.get(instance))
            for instance, entry in snapshot.entries[name].items()
        }
        readings[name] = found[SINGLE] if observation.family.single else found
        for instance, problem in observation.problems.items():
            unavailable[f"{name}@{instance}" if instance else name] = problem_data(problem)
    health = _health(snapshot.health)
    return {"health": health, "readings": readings, "unavailable": unavailable}


def _health(report: HealthReport) -> dict[str, Any]:
    conditions = {
        name: {metric.name: getattr(condition, metric.name) for metric in condition.metrics}
        for name, condition in report.conditions.items()
    }
    since = iso(report.since) if report.since else None
    return {"severity": report.severity, "since": since, "reasons": report.reasons, "conditions": conditions}


def opening(cycle: Cycle) -> Event:
    """Return the event that opens a segment: all that was known before the cycle."""
    before, snapshot = cycle.before, cycle.snapshot
    if before is None:
        data = {"schema": protocol.SCHEMA_VERSION, "interval": snapshot.interval, "readings": {}, "unavailable": {}}
        if cycle.states:
            data["states"] = cycle.states
        return Event(snapshot.instant, protocol.SNAPSHOT, data, snapshot.boot_id, max(snapshot.seq - 1, 0))
    known = _state(before)
    known["readings"] = {
        name: dict(sorted(found.items())) if not before.latest[name].family.single else found
        for name, found in sorted(known["readings"].items())
        if found
    }
    known["unavailable"] = dict(sorted(known["unavailable"].items()))
    data = {"schema": protocol.SCHEMA_VERSION, "interval": before.interval, **known}
    if before.health.remembered:
        data["states"] = before.health.remembered.data()
    return Event(before.instant, protocol.SNAPSHOT, data, before.boot_id, before.seq)


def reading_data(reading: Reading, latest: Reading | None = None) -> dict[str, Any]:
    """Return a reading by its fields; what is `live` comes from the `latest` one where that is given."""
    return {
        metric.name: getattr(latest if latest is not None and metric.live else reading, metric.name)
        for metric in reading.metrics
    }
