"""Events as JSON lines: the one encoder and the one decoder, and what follows from two snapshots.

An event is one line: `{"time":"2026-01-01T12:00:00.000Z","name":"system.load.updated","data":{…},"boot_id":…,
"since_boot":…,"seq":…}`. Unknown is `null`. Where lines follow each other in a file, one leaves out what follows from
the line before: `boot_id` where it is the same; `since_boot` and `seq` where both clocks went on alike, and the sample
is the same (at the same time) or the next.

A family's event holds the fields that changed since its event before, and the values per core that are known, by
instance where there are several; counters stand only in a `snapshot`. Whoever merges them has the accepted readings.
"""

import calendar
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn, TypeGuard

from healthd import protocol
from healthd.clock import Instant, iso
from healthd.errors import BadEvent
from healthd.model import (
    SINGLE,
    Entry,
    Event,
    Family,
    Metric,
    Observation,
    Problem,
    Reading,
    Snapshot,
)

_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{3})Z", re.ASCII)


class EventType(NamedTuple):
    """What an event of one name says."""

    name: str
    data: str
    """The keys of its data."""
    summary: str
    """One sentence."""


_OTHERS = (
    EventType(protocol.INSTANCE_ADDED, "family, instance", "An instance came: a disk was plugged in."),
    EventType(protocol.INSTANCE_REMOVED, "family, instance", "An instance went."),
    EventType(
        protocol.COLLECTOR_FAILED,
        "family, instance, problem, reason, remedy",
        'A family (instance "") or an instance became unavailable; after `timeout` its last values stay.',
    ),
    EventType(protocol.COLLECTOR_RECOVERED, "family, instance", "It is not unavailable any more."),
    EventType(
        protocol.COLLECTOR_DISABLED,
        "family, instance, problem, reason, remedy",
        "Somebody wants it not to be observed any more.",
    ),
    EventType(protocol.COLLECTOR_ENABLED, "family, instance", "It is observed again."),
    EventType(
        protocol.CONFIG_LOADED,
        "files, rules, interval",
        "A configuration is in force from this sample on: the files it is from, and what stands for the rules.",
    ),
    EventType(protocol.CONFIG_REFUSED, "faults", "A configuration has faults, and the one before it stays in force."),
    EventType(protocol.RUNTIME_STARTED, "version, interval", "healthd began: nothing holds of what was known before."),
    EventType(protocol.RUNTIME_STOPPED, "", "healthd was told to end."),
    EventType(
        protocol.RUNTIME_GAP,
        "reason, seconds",
        "Between two samples the machine slept (`suspend`), its clock was set (`clock`; back: below zero), or the "
        "sample came late (`overrun`).",
    ),
    EventType(
        protocol.HEALTH_TRANSITION,
        "condition, instance, from, to, judged, summary, metric, value, threshold, remedy",
        "A condition came, became better or worse, or is over (`to` is `ok`; not `judged`: its instance went, or is "
        "none that the rule is for).",
    ),
    EventType(
        protocol.HEALTH_ACKNOWLEDGED,
        "condition, instance, who, until",
        "Somebody has taken note of a condition: it does not count for the host's health until then (Unix time).",
    ),
    EventType(
        protocol.HEALTH_WITNESSED,
        "resource, seconds, processes, units, hidden, reason",
        "Who used most of what ran short (cpu, memory, io), when a condition of that built up or changed.",
    ),
    EventType(
        protocol.SNAPSHOT,
        "schema, interval, health, readings, unavailable, states",
        "In recordings alone: what was known when the segment was opened, as `Describe` has it, and what judging goes "
        "on from; at a start that alone.",
    ),
    EventType(
        protocol.HISTORY,
        "step, blocks (columns, rows)",
        "In compressed segments alone: least, mean and greatest value of each gauge, minute by minute.",
    ),
)


def event_types(families: Iterable[Family]) -> list[EventType]:
    """Return every event that there can be, with those of these families first."""
    samples = []
    for family in sorted(families, key=lambda family: family.event):
        by = "" if family.single else f", by {family.instances}"
        samples.append(EventType(family.event, f"what changed{by}", f"A reading of `{family.name}` was accepted."))
    return [*samples, *_OTHERS]


def encode(event: Event, after: Event | None = None) -> str:
    """Return an event as one line of JSON, without its end; in a file `after` is the event of the line before."""
    instant = event.instant
    line: dict[str, Any] = {"time": iso(instant.time), "name": event.name, "data": event.data}
    if after is None or after.boot_id != event.boot_id:
        line["boot_id"] = event.boot_id
    if after is None or len(line) > 3 or _following(after, instant.time) != (instant.since_boot, event.seq):
        line["since_boot"] = instant.since_boot
        line["seq"] = event.seq
    return to_json(line)


def _following(after: Event, time: float) -> tuple[float, int]:
    """Return since_boot and seq of a line that says neither."""
    passed = time - after.instant.time
    return round(after.instant.since_boot + passed, 3), after.seq + (passed != 0.0)


def to_json(content: Mapping[str, Any]) -> str:
    """Return an object as JSON on one line; what is no number is unknown."""
    try:
        text = _json.encode(content)
    except ValueError:
        # Rare, but where a CPU is offline; what is no number is unknown.
        text = _json.encode(_plain(content))
    # A lone surrogate is no UTF-8; what it becomes here is its escape in JSON.
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def decode(line: str | bytes, after: Event | None = None) -> Event:
    """Return the event of a line, given the one of the line before.

    Raises BadEvent for what is none. What a line names is data: nothing is imported or called by it.
    """
    try:
        content = _decoder.decode(line if isinstance(line, str) else line.decode())
    except (ValueError, RecursionError) as error:
        raise BadEvent(f"this is no JSON: {error}"[:200]) from None
    if not isinstance(content, dict):
        raise BadEvent("this is no JSON object")
    name, data, time = content.get("name"), content.get("data"), content.get("time")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadEvent("the name of the event is missing, or none")
    if not isinstance(data, dict):
        raise BadEvent("the data of the event are missing, or no object")
    seconds = _seconds(time)
    boot_id = content.get("boot_id", after.boot_id if after else None)
    since_boot, seq = content.get("since_boot"), content.get("seq")
    if since_boot is None and seq is None and after:
        since_boot, seq = _following(after, seconds)
    if not isinstance(boot_id, str) or not _number(since_boot) or type(seq) is not int:
        raise BadEvent("boot_id, since_boot or seq is missing, and the line before does not tell it")
    if not (0 <= since_boot < _ABSURD and 0 <= seq < _ABSURD):
        raise BadEvent("since_boot or seq is absurd")
    return Event(Instant(seconds, float(since_boot), 0.0), name, data, boot_id, seq)


_ABSURD = 1 << 53


def _number(value: object) -> TypeGuard[float]:
    return type(value) in (float, int)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number in JSON")


_decoder = json.JSONDecoder(parse_constant=_no_number)


def _seconds(time: Any) -> float:
    if isinstance(time, str):
        return _seconds_of(time)
    raise BadEvent(_NO_TIME)


_NO_TIME = "the time is missing, or not like 2026-01-01T12:00:00.000Z"


@lru_cache(maxsize=4)
def _seconds_of(time: str) -> float:
    if found := _TIME.fullmatch(time):
        day, hour, minute, second, milliseconds = found.groups()
        midnight = _midnight(day)
        if midnight is not None and hour < "24" and minute < "60" and second < "60":
            whole = midnight + int(hour) * 3600 + int(minute) * 60 + int(second)
            return round(whole + int(milliseconds) / 1000, 3)
    raise BadEvent(_NO_TIME)


@lru_cache(maxsize=64)
def _midnight(day: str) -> int | None:
    year, month, number = int(day[:4]), int(day[5:7]), int(day[8:])
    if year < 1 or not 1 <= month <= 12 or not 1 <= number <= calendar.monthrange(year, month)[1]:
        return None
    return calendar.timegm((year, month, number, 0, 0, 0))


def changes(before: Snapshot | None, snapshot: Snapshot) -> Iterator[Event]:
    """Yield what a cycle brought: collectors that fail or recover, instances that come and go, accepted readings.

    Families and instances come in the order of their names: the same events, whoever observed them.
    """
    for name in sorted(snapshot.latest):
        observation = snapshot.latest[name]
        old = before.latest.get(name) if before else None
        if old is not observation and (observation.problems or (old and old.problems)):
            for event, data in _collector(old, observation):
                yield Event(snapshot.instant, event, data, snapshot.boot_id, snapshot.seq)
        entries = snapshot.entries[name]
        known = before.entries.get(name, {}) if before else {}
        if entries is not known:
            for event, data in _entries(observation.family, known, entries):
                yield Event(snapshot.instant, event, data, snapshot.boot_id, snapshot.seq)


def _collector(old: Observation | None, new: Observation) -> Iterator[tuple[str, dict[str, Any]]]:
    before = old.problems if old else {}
    for instance, problem in sorted(new.problems.items()):
        if instance not in before or before[instance].code != problem.code:
            name = protocol.COLLECTOR_DISABLED if problem.code == protocol.DISABLED else protocol.COLLECTOR_FAILED
            yield name, {"family": new.family.name, "instance": instance, **problem_data(problem)}
    for instance in sorted(before):
        if instance not in new.problems:
            was = before[instance].code
            name = protocol.COLLECTOR_ENABLED if was == protocol.DISABLED else protocol.COLLECTOR_RECOVERED
            yield name, {"family": new.family.name, "instance": instance}


def _entries(
    family: Family, known: Mapping[str, Entry], entries: Mapping[str, Entry]
) -> Iterator[tuple[str, dict[str, Any]]]:
    if not family.single:
        for instance in sorted(entries):
            if instance not in known:
                yield protocol.INSTANCE_ADDED, {"family": family.name, "instance": instance}
    changed = {
        instance: _changed(known.get(instance), entries[instance])
        for instance in sorted(entries)
        if entries[instance] is not known.get(instance)
    }
    data = {instance: fields for instance, fields in changed.items() if fields}
    if data:
        yield family.event, data[SINGLE] if family.single else data
    if not family.single:
        for instance in sorted(known):
            if instance not in entries:
                yield protocol.INSTANCE_REMOVED, {"family": family.name, "instance": instance}


def _changed(known: Entry | None, entry: Entry) -> dict[str, Any]:
    """Return the fields in which an available reading differs from the one before, and what is per core."""
    if not entry.status.available:
        return {}
    new, fields = entry.reading, {}
    old = known.reading if known else None
    for name, per_core in type(new).family.recorded:
        value = getattr(new, name)
        if value is not None if per_core else old is None or value != getattr(old, name):
            fields[name] = tuple(map(_short, value)) if type(value) is tuple else _short(value)
    return fields


def _short(value: Any) -> Any:
    """Return a whole number without the `.0` that one event in three would have to carry."""
    return int(value) if type(value) is float and value.is_integer() else value


def reading_from(family: Family, data: Any, known: Reading) -> Reading:
    """Return a reading with the fields that `data` has, and the others as they are `known`; per core nothing is kept.

    Keys that the family does not declare are passed over: a later version adds some. Raises BadEvent for a value of
    another type than is declared.
    """
    if not isinstance(data, dict):
        raise BadEvent(f"the reading of {family.name} is no object")
    by_name = family.by_name
    values = {name: getattr(known, name) for name in by_name}
    values.update((name, None) for name, per_core in family.recorded if per_core)
    for name, value in data.items():
        metric = by_name.get(name)
        if metric is not None:
            values[name] = _one(family, metric, value)
    return family.reading(**values)


def _one(family: Family, metric: Metric, value: Any) -> Any:
    kind = metric.type
    if value is None or not _is(kind, value):
        return value if value is None else _several(family, metric, value)
    return float(value) if kind is float else value


def _several(family: Family, metric: Metric, value: Any) -> Any:
    if isinstance(value, list):
        if metric.type == tuple[float, ...] and all(part is None or _is(float, part) for part in value):
            return tuple([math.nan if part is None else float(part) for part in value])
        if metric.type == tuple[str, ...] and all(_is(str, part) for part in value):
            return tuple(value)
    raise BadEvent(f"{family.name}.{metric.name} is {str(value)[:40]!r}, and it takes no such value")


def _is(kind: type, value: Any) -> bool:
    found = type(value)
    if found is float:
        return kind is float and math.isfinite(value)
    if found is int:
        return kind in (int, float) and abs(value) <= _LARGEST
    return found is kind


_LARGEST = 1 << 64


def problem_data(problem: Problem) -> dict[str, str]:
    """Return a problem as JSON has it."""
    return {"problem": problem.code, "reason": problem.reason, "remedy": problem.remedy}
