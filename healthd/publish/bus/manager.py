"""The Manager interface at the root: what it declares, and its methods as functions of the snapshot."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from healthd import protocol
from healthd.dbus import INVALID_ARGS, Variant
from healthd.errors import CallError
from healthd.events import describe
from healthd.metric import camel
from healthd.model import SINGLE, Family, Metric, Snapshot, Table, Unit, state, table
from healthd.publish.bus.interface import Argument, Method, of_table
from healthd.publish.bus.values import UNKNOWN, variant, wire


@table("Manager")
class Manager(Table):
    """How this machine is, and what is observed of it. Everything here may be read by every local user."""

    version: str = state("Version of healthd.")
    api_level: int = state("Level of this API; within one level, members are only added.", signature="u")
    features: tuple[str, ...] = state("Optional parts of this API that are offered here, beyond the readings.")
    sample_interval_usec: int = state("Time from one sample to the next, µs.", Unit.USEC)


def manager(interval: float) -> Manager:
    """Return the Manager's properties."""
    return Manager(
        version=protocol.VERSION,
        api_level=protocol.API_LEVEL,
        features=(),
        sample_interval_usec=round(interval * 1_000_000),
    )


METHODS = (
    Method(
        "Describe",
        "The whole snapshot as one JSON object, the same that `healthctl status --json` prints: version, time, "
        "boot_id, since_boot, interval, seq, health, readings by family and instance, unavailable by family with "
        "problem, reason and remedy. Unknown is null.",
        gives=(Argument("json", "s"),),
    ),
    Method(
        "ListMetrics",
        "Every metric by its name `family.field`: family, field, kind (gauge, counter or state), unit, summary, "
        "signature, interface, property, signalled (whether PropertiesChanged tells of it), minimum and maximum "
        "(where it has them) and its present instances.",
        gives=(Argument("metrics", "a{sa{sv}}"),),
    ),
    Method(
        "ListCollectors",
        "Every collector by its family: summary, available, problem, reason, remedy, duration_usec of its last run, "
        "failures since start, sampled_at_usec (µs since 1970 UTC), every_usec and the number of instances.",
        gives=(Argument("collectors", "a{sa{sv}}"),),
    ),
    Method(
        "Read",
        "The present values of metrics named `family.field` or `family.field@instance`; without an instance those of "
        "all instances. Unknown is NaN, the largest number, an empty string or -1. Fails with Error.UnknownMetric for "
        "a name that no family declares, and with Error.NotAvailable for an instance that is not there.",
        takes=(Argument("metrics", "as"),),
        gives=(Argument("values", "a{sv}"),),
    ),
)

INTERFACE = of_table(Manager, methods=METHODS, constant=("version", "api_level", "features"))
MAX_METRICS = 1024
"""How many metrics one call of Read may name."""


def _limits(metric: Metric) -> dict[str, float]:
    """Return what a value is never below or above, as far as there is such a limit."""
    limits = {"minimum": metric.minimum, "maximum": metric.maximum}
    return {name: limit for name, limit in limits.items() if math.isfinite(limit)} if metric.type is not str else {}


class Answers:
    """The methods, given the families that are observed."""

    def __init__(self, families: Iterable[Family], interval: float) -> None:
        self._families = {family.name: family for family in families}
        self._interval = interval
        self.by_name: Mapping[str, Callable[[Snapshot, list[Any]], Any]] = {
            "Describe": lambda snapshot, _: describe(snapshot, self._interval),
            "ListMetrics": lambda snapshot, _: self._metrics(snapshot),
            "ListCollectors": lambda snapshot, _: self._collectors(snapshot),
            "Read": lambda snapshot, body: self._read(snapshot, body[0]),
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
            "available": Variant("b", not code),
            "problem": Variant("s", code),
            "reason": Variant("s", wire("s", reason)),
            "remedy": Variant("s", wire("s", remedy)),
            "duration_usec": Variant("t", round(observation.duration * 1e6) if observation else UNKNOWN["t"]),
            "failures": Variant("t", observation.failures if observation else 0),
            "sampled_at_usec": Variant("t", round(observation.instant.time * 1e6) if observation else UNKNOWN["t"]),
            "every_usec": Variant("t", round(max(family.every, self._interval) * 1e6)),
            "instances": Variant("u", len(snapshot.entries.get(family.name, ()))),
        }

    def _read(self, snapshot: Snapshot, addresses: list[str]) -> dict[str, Any]:
        if len(addresses) > MAX_METRICS:
            raise CallError(INVALID_ARGS, f"{len(addresses)} metrics are more than {MAX_METRICS}")
        values = {}
        for address in dict.fromkeys(addresses):
            name, at, instance = address.partition("@")
            family, metric = self._metric(name)
            present = snapshot.entries.get(family.name, {})
            if at and (instance not in present or family.single):
                raise CallError(protocol.NOT_AVAILABLE, f"{family.name} has no instance {instance!r} now")
            for each in [instance] if at else present:
                full = f"{name}@{each}" if each != SINGLE else name
                values[full] = variant(metric, snapshot.value(family, each, metric))
        return values

    def _metric(self, name: str) -> tuple[Family, Metric]:
        family_name, _, field = name.partition(".")
        family = self._families.get(family_name)
        metric = family.by_name.get(field) if family else None
        if family is None or metric is None:
            raise CallError(protocol.UNKNOWN_METRIC, f"there is no metric {name!r}")
        return family, metric
