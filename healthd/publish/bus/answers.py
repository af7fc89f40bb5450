"""The methods of the Manager: functions of what is published, and questions to an archive."""

import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from healthd import protocol
from healthd.dbus import FAILED, INVALID_ARGS, Variant
from healthd.description import describe
from healthd.errors import CallError, HealthdError
from healthd.events import to_json
from healthd.metric import camel
from healthd.model import SINGLE, Account, Explaining, Family, Kind, Metric, Snapshot
from healthd.publish.bus.behind import Archive
from healthd.publish.bus.values import UNKNOWN, variant, wire

MAX_METRICS = 1024
"""How many metrics one call of Read may name."""
MAX_NAMES = 100
"""How many names one call of GetEvents may give."""
MAX_LINES = 10_000
"""How many points or events one call may ask for."""
MAX_TEXT = 4 * 1024 * 1024
"""How much text of events one call is given, bytes."""

_T = TypeVar("_T")
Later = Callable[[], Awaitable[_T]]
"""What begins something that takes time."""

_USUAL = 1000
_LAST = 253_402_300_799.0
"""The end of the year 9999, after which no calendar goes on, seconds since 1970 UTC."""


class Answers:
    """The methods, given the families that are observed, what remembers them, and how the publishers do.

    Each takes the snapshot, the time of what was published last (seconds since 1970 UTC) and the call's body. For what
    takes time it returns a function that begins it.
    """

    def __init__(
        self,
        families: Iterable[Family],
        archive: Archive,
        accounts: Callable[[], Mapping[str, Account]],
        judging: Explaining,
    ) -> None:
        self._families = {family.name: family for family in families}
        self._archive = archive
        self._accounts = accounts
        self._judging = judging
        self.by_name: Mapping[str, Callable[[Snapshot, float, list[Any]], Any]] = {
            "Describe": lambda snapshot, *_: describe(snapshot),
            "ListMetrics": lambda snapshot, *_: self._metrics(snapshot),
            "ListCollectors": lambda snapshot, *_: self._collectors(snapshot),
            "ListPublishers": lambda *_: {name: _publisher(account) for name, account in self._accounts().items()},
            "ListConditions": lambda *_: {
                wire("s", name): _condition(told) for name, told in self._judging.listed().items()
            },
            "Explain": lambda _, now, body: self._explain(now, *body),
            "Read": lambda snapshot, _, body: self._read(snapshot, *body),
            "GetHistory": lambda _, now, body: self._history(now, *body),
            "GetEvents": lambda _, now, body: self._events(now, *body),
        }

    def _metrics(self, snapshot: Snapshot) -> dict[str, dict[str, Any]]:
        return {
            f"{family.name}.{metric.name}": {
                "family": Variant("s", family.name),
                "field": Variant("s", metric.name),
                "kind": Variant("s", metric.kind.value),
                "unit": Variant("s", metric.unit.value),
                "summary": Variant("s", metric.summary),
                "signature": Variant("s", metric.signature),
                "interface": Variant("s", family.reading.interface),
                "property": Variant("s", camel(metric.name)),
                "signalled": Variant("b", not metric.live),
                **{name: Variant("d", limit) for name, limit in _limits(metric).items()},
                "instances": Variant("as", self._instances(snapshot, family)),
            }
            for family in self._families.values()
            for metric in family.reading.metrics
        }

    def _instances(self, snapshot: Snapshot, family: Family) -> list[str]:
        return [wire("s", name) for name in snapshot.entries.get(family.name, ()) if name != SINGLE]

    def _collectors(self, snapshot: Snapshot) -> dict[str, dict[str, Any]]:
        return {family.name: self._collector(snapshot, family) for family in self._families.values()}

    def _collector(self, snapshot: Snapshot, family: Family) -> dict[str, Any]:
        observation = snapshot.latest.get(family.name)
        problem = observation.problem if observation else None
        code, reason, remedy = problem or (("", "", "") if observation else (protocol.TIMEOUT, "not observed yet", ""))
        return {
            "summary": Variant("s", family.summary),
            "source": Variant("s", family.source),
            "available": Variant("b", not code),
            "problem": Variant("s", code),
            "reason": Variant("s", wire("s", reason)),
            "remedy": Variant("s", wire("s", remedy)),
            "duration_usec": Variant("t", round(observation.duration * 1e6) if observation else UNKNOWN["t"]),
            "failures": Variant("t", observation.failures if observation else 0),
            "sampled_at_usec": Variant("t", round(observation.instant.time * 1e6) if observation else UNKNOWN["t"]),
            "every_usec": Variant("t", round(max(family.every, snapshot.interval) * 1e6)),
            "instances": Variant("u", len(snapshot.entries.get(family.name, ()))),
        }

    def _read(self, snapshot: Snapshot, addresses: list[str]) -> dict[str, Any]:
        if len(addresses) > MAX_METRICS:
            raise CallError(INVALID_ARGS, f"{len(addresses)} metrics are more than {MAX_METRICS}")
        values = {}
        for address in dict.fromkeys(addresses):
            name, at, instance = address.partition("@")
            family, metric = self.metric(name)
            present = snapshot.entries.get(family.name, {})
            if at and (instance not in present or family.single):
                raise CallError(protocol.NOT_AVAILABLE, f"{family.name} has no instance {instance!r} now")
            for each in [instance] if at else present:
                full = f"{name}@{each}" if each != SINGLE else name
                values[full] = variant(metric, snapshot.value(family, each, metric))
        return values

    def metric(self, name: str) -> tuple[Family, Metric]:
        """Return a metric by its name `family.field`; raises CallError where no family declares it."""
        family_name, _, field = name.partition(".")
        family = self._families.get(family_name)
        metric = family.by_name.get(field) if family else None
        if family is None or metric is None:
            raise CallError(protocol.UNKNOWN_METRIC, f"there is no metric {name!r:.100}")
        return family, metric

    def _history(self, now: float, address: str, since: int, until: int, most: int) -> Later[list[list[float]]]:
        self._series(address)
        return partial(self._points, address, *_range(since, until, now), _most(most))

    def _explain(self, now: float, name: str) -> str:
        try:
            told = self._judging.explain(name)
        except KeyError:
            raise CallError(protocol.UNKNOWN_CONDITION, f"there is no condition {name!r}") from None
        return to_json({**told, "movers": self._movers(now, told)})

    def _movers(self, now: float, told: Mapping[str, Any]) -> Sequence[Mapping[str, Any]] | None:
        """Return what else moved while a condition built up; `None` where that is not known, or all is well."""
        built_up = _built_up(now, told)
        if built_up is None:
            return None
        own = told["rule"]["metric"].partition(" + ")[0]
        own = f"{own}@{told['instance']}" if told["instance"] else own
        return self._archive.movers(*built_up, lag=told["rule"]["window"], but=own)

    def _series(self, address: str) -> None:
        """Make sure that it is a gauge of one instance, whether that is there now, or was."""
        name, at, instance = address.partition("@")
        family, metric = self.metric(name)
        if metric.kind is not Kind.GAUGE or metric.type not in (float, int):
            raise CallError(protocol.UNKNOWN_METRIC, f"{name} is no number that goes up and down")
        if at and family.single:
            raise CallError(protocol.NOT_AVAILABLE, f"{family.name} has no instance {instance!r}")
        if not family.single and not instance:
            raise CallError(INVALID_ARGS, f"{family.name} has several instances: name one, like {name}@INSTANCE")

    async def _points(self, address: str, since: float, until: float, most: int) -> list[list[float]]:
        try:
            points = await _from(self._archive.history(address, since, until, most))
        except KeyError:
            raise CallError(protocol.NOT_AVAILABLE, f"nothing is known of {address}") from None
        return [[round(point.time * 1e6), point.low, point.mean, point.high] for point in points]

    def _events(self, now: float, since: int, until: int, names: list[str], limit: int) -> Later[list[str]]:
        if len(names) > MAX_NAMES:
            raise CallError(INVALID_ARGS, f"{len(names)} names are more than {MAX_NAMES}")
        return partial(self._lines, *_range(since, until, now), names, _most(limit))

    async def _lines(self, since: float, until: float, names: list[str], most: int) -> list[str]:
        return _newest(await _from(self._archive.events(since, until, names, most)))


def _limits(metric: Metric) -> dict[str, float]:
    """Return what a value is never below or above, as far as there is such a limit."""
    limits = {"minimum": metric.minimum, "maximum": metric.maximum}
    return {name: limit for name, limit in limits.items() if math.isfinite(limit)} if metric.type is not str else {}


_TEXTS = (
    "rule", "instance", "severity", "summary", "metric", "unit", "next", "inhibited_by", "acknowledged_by", "own_unit",
)  # fmt: skip


def _condition(told: Mapping[str, Any]) -> dict[str, Any]:
    since = round(told["since"] * 1e6) if told["since"] else None
    return {
        **{name: Variant("s", wire("s", told[name])) for name in _TEXTS},
        "since_usec": Variant("t", wire("t", since)),
        "value": Variant("d", wire("d", told["value"])),
        "threshold": Variant("d", wire("d", told["threshold"])),
        "headroom": Variant("d", wire("d", told["headroom"])),
        "pending": Variant("b", told["pending"]),
        "own_value": Variant("d", wire("d", told["own_value"])),
        "bounds": Variant("a{s(sd)}", {severity: list(bound) for severity, bound in told["bounds"].items()}),
    }


def _built_up(now: float, told: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return from when to when a condition built up, seconds since 1970 UTC; `None` for one that is well."""
    is_ok = told["severity"] == protocol.OK
    if is_ok and not told["pending"]:
        return None
    severity = told["next"] if is_ok else told["severity"]
    holds = {level["severity"]: level["hold"] for level in told["rule"]["levels"]}
    comes = now + (told["due_seconds"] or 0.0) if is_ok else told["since"]
    # A severity of no level is that nothing is known any more: that needs no time.
    return comes - holds.get(severity, 0.0), min(comes, now)


def _publisher(account: Account) -> dict[str, Any]:
    code, reason, remedy = account.problem or ("", "", "")
    return {
        "available": Variant("b", not code),
        "problem": Variant("s", code),
        "reason": Variant("s", wire("s", reason)),
        "remedy": Variant("s", wire("s", remedy)),
        "lost": Variant("t", account.lost),
    }


def _range(since: int, until: int, now: float) -> tuple[float, float]:
    """Return the range that is asked for, seconds."""
    begin, end = min(since / 1e6, _LAST), min(until / 1e6, _LAST)
    if until in (0, UNKNOWN["t"]):
        # The last sample is a while ago for whoever begins at its own present.
        return begin, max(now, begin)
    if begin > end:
        raise CallError(INVALID_ARGS, f"since_usec {since} is after until_usec {until}")
    # What comes after is not known yet, and in a replay not told yet.
    return begin, max(min(end, now), begin)


def _most(asked: int) -> int:
    if asked > MAX_LINES:
        raise CallError(INVALID_ARGS, f"{asked} are more than {MAX_LINES}")
    return asked or _USUAL


async def _from(answer: Awaitable[_T]) -> _T:
    """Return an archive's answer; what it says of itself is for the caller."""
    try:
        return await answer
    except HealthdError as error:
        raise CallError(FAILED, str(error)) from error


def _newest(lines: Sequence[str]) -> list[str]:
    """Return the last lines, as many as a reply shall hold."""
    newest: list[str] = []
    size = 0
    for line in reversed(lines):
        text = wire("s", line)
        size += len(text.encode())
        if size > MAX_TEXT:
            break
        newest.append(text)
    newest.reverse()
    return newest
