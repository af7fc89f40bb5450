"""What is observed, family by family and metric by metric: from where, and what hinders it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from healthctl.diagnosis import ABSENT, FAIL, OK, WARN, Finding, Rows
from healthctl.render.described import seconds
from healthctl.render.units import span
from healthd import protocol

_BROKEN = (protocol.FAILED, protocol.MALFORMED, protocol.VANISHED)
_LOG = "see why: journalctl -u healthd -b"
# Where healthd itself has nothing to say.
_REMEDIES = {protocol.TIMEOUT: "look at its device or server, and for errors in the kernel's log: journalctl -k -b"}
_NAMED = 3
"""How many metrics a line names."""
_SLACK = 5.0
"""How much later than due a family may be observed, seconds."""


class Told(NamedTuple):
    """What healthd tells of what it observes: the answers of Describe, ListCollectors and ListMetrics."""

    described: Mapping[str, Any]
    collectors: Rows
    metrics: Rows


def metrics(told: Told) -> dict[str, dict[str, Any]]:
    """Return how each metric is, by its name.

    `state` is `ok`, `unknown` (its family is there, and its value nowhere known) or `unavailable`; `source` is what it
    is read from, `instances` and `known` how many there are of it, and of how many it is known.
    """
    found = {}
    for name in sorted(told.metrics):
        family, _, field = name.partition(".")
        collector = told.collectors.get(family, {})
        values = [reading.get(field) for reading in _readings(told.described, family)]
        known = sum(_is_known(value) for value in values)
        state = "unavailable" if collector.get("available") is False else "ok" if known or not values else "unknown"
        found[name] = {
            "state": state,
            "source": collector.get("source"),
            "instances": len(values),
            "known": known,
            "reason": collector.get("reason") if state == "unavailable" else None,
        }
    return found


def _readings(described: Mapping[str, Any], family: str) -> list[Mapping[str, Any]]:
    """Return the readings of a family, one for each instance."""
    readings = described.get("readings")
    found = readings.get(family) if isinstance(readings, dict) else None
    if not isinstance(found, dict) or not found:
        return []
    several = all(isinstance(value, dict) for value in found.values())
    return list(found.values()) if several else [found]


def _is_known(value: Any) -> bool:
    return any(part is not None for part in value) if isinstance(value, list) else value is not None


def findings(told: Told) -> Iterator[Finding]:
    """Tell of every family, and of the instances that can't be observed."""
    every = metrics(told)
    now = seconds(told.described.get("time"))
    for family, row in sorted(told.collectors.items()):
        own = {name.partition(".")[2]: metric for name, metric in every.items() if name.startswith(f"{family}.")}
        if row.get("available") is False:
            yield _unavailable(f"family {family}", row)
            continue
        yield _stale(family, row, now) or _working(family, row, own, _readings(told.described, family))
        for instance, problem in _instances(told.described, family):
            yield _unavailable(f"family {family}@{instance}", problem)


def _instances(described: Mapping[str, Any], family: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the instances of a family that can't be observed."""
    unavailable = described.get("unavailable")
    for address, problem in sorted(unavailable.items()) if isinstance(unavailable, dict) else ():
        name, _, instance = address.partition("@")
        if name == family and instance and isinstance(problem, dict):
            yield instance, problem


def _unavailable(check: str, row: Mapping[str, Any]) -> Finding:
    code, remedy = str(row.get("problem") or "unavailable"), str(row.get("remedy") or "")
    text = f"{'stale' if code == protocol.TIMEOUT else code}: {row.get('reason') or 'nobody knows why'}"
    if code == protocol.UNSUPPORTED and not remedy:
        return Finding(check, ABSENT, text)
    whole = "@" not in check
    return Finding(check, FAIL if whole and code in _BROKEN else WARN, text, remedy or _REMEDIES.get(code, _LOG))


def _stale(family: str, row: Mapping[str, Any], now: float | None) -> Finding | None:
    """Return what is to be said of a family that is observed less often than it should be."""
    sampled, every = row.get("sampled_at_usec"), row.get("every_usec")
    if now is None or not sampled or not every:
        return None
    age, due = now - sampled / 1e6, every / 1e6
    if age <= 2 * due + _SLACK:
        return None
    text = f"stale: last observed {span(round(age))} ago, and due every {span(due)}"
    return Finding(f"family {family}", WARN, text, _LOG)


def _working(family: str, row: Mapping[str, Any], own: Rows, readings: Sequence[Mapping[str, Any]]) -> Finding:
    """Return what a family brings, and from where; one that reads no better of several sources tells why."""
    known = [name for name, metric in own.items() if metric["state"] == "ok"]
    unknown = [name for name in own if name not in known]
    several = f" of {row['instances']} instances" if row.get("instances", 1) != 1 else ""
    better = next((str(reading["passed_over"]) for reading in readings if reading.get("passed_over")), "")
    source = next((reading.get("source") for reading in readings if "passed_over" in reading), None)
    text = f"{_count(len(known), 'metric')}{several} from {source or row.get('source') or 'somewhere'}"
    if not unknown:
        return Finding(f"family {family}", OK, f"{text}; passed over: {better}" if better else text)
    return Finding(f"family {family}", WARN if better else OK, f"{text}; unknown here: {_few(unknown)}", better)


def _few(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
