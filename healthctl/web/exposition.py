"""The metrics for Prometheus: names and units follow from the declarations that healthd lists.

    percent        …_ratio, 0 to 1             usec          …_seconds
    watt_hours     …_joules                    unix_seconds  …_timestamp_seconds
    counters       …_total, and nothing else   flags         0 or 1
    per core       a label by the field's first word
    texts          labels of healthd_FAMILY_info

An instance is a label by the name of its family; of a condition it is the `subject`, as Prometheus keeps `instance` for
itself. What is unknown is left out; so are rates of which the counter is there, and of two metrics with one name the
second.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from prometheus_client import exposition as classic
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
    StateSetMetricFamily,
)
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from healthctl.render.described import seconds
from healthctl.render.style import Style
from healthd import protocol

_SEVERITIES = (protocol.OK, protocol.NOTICE, protocol.WARNING, protocol.CRITICAL, protocol.UNKNOWN)
_OPENMETRICS, _CLASSIC = "application/openmetrics-text", "text/plain"
_CLASSIC_TYPE = f"{_CLASSIC}; version=0.0.4; charset=utf-8"
_WEIGHT = re.compile(r";\s*q=([01](?:\.[0-9]*)?)")
# What Prometheus has always taken for a name; a plug-in's field may be any of Python's.
_NAME = re.compile("[a-zA-Z_][a-zA-Z0-9_]*")
_UNITS = {
    # By healthd's: the ending of the name that goes, the one that comes, and by what values are multiplied.
    "percent": ("percent", "ratio", 0.01),
    "usec": ("usec", "seconds", 1e-6),
    "watt_hours": ("watt_hours", "joules", 3600.0),
    "unix_seconds": ("at", "timestamp_seconds", 1.0),
    **{
        unit: (unit, unit, 1.0)
        for unit in ("seconds", "bytes", "celsius", "hertz", "volts", "amperes", "watts", "pascals")
    },
}

Row = Mapping[str, Any]
"""What `ListMetrics` tells of one metric."""
Values = Mapping[str, Any]
"""The fields of one reading; `None` is unknown."""


class Form(NamedTuple):
    """How a metric is exported: a counter's name is without its `_total`."""

    name: str
    unit: str
    factor: float


def form(family: str, field: str, unit: str) -> Form:
    """Return how a metric is exported."""
    name = f"healthd_{family}_{field}"
    if unit not in _UNITS:
        return Form(name.removesuffix("_total"), "", 1.0)
    ending, new, factor = _UNITS[unit]
    return Form(f"{name.removesuffix(f'_{ending}')}_{new}", new.rpartition("_")[2], factor)


def expose(described: Mapping[str, Any], metrics: Mapping[str, Row], accept: str) -> tuple[bytes, str]:
    """Return the text of all metrics and its content type: OpenMetrics where `accept` prefers it, else the older form.

    `described` is what `Describe` gives, `metrics` what `ListMetrics` does.
    """
    every = _Every(described, metrics)
    wish = weight(accept, _OPENMETRICS)
    if wish and wish >= weight(accept, _CLASSIC):
        return openmetrics.generate_latest(every), openmetrics.CONTENT_TYPE_LATEST  # type: ignore[no-untyped-call]
    return classic.generate_latest(every), _CLASSIC_TYPE


def weight(accept: str, kind: str) -> float:
    """Return how much a header that names what is accepted wants a kind of it: what is not named, not at all."""
    named = [part for part in accept.lower().split(",") if part.partition(";")[0].strip() == kind]
    return max((float(found[1]) if (found := _WEIGHT.search(part)) else 1.0 for part in named), default=0.0)


class _Every(Collector):
    """All metrics that are known."""

    def __init__(self, described: Mapping[str, Any], metrics: Mapping[str, Row]) -> None:
        self._described = described
        self._rows: dict[str, dict[str, Row]] = {}
        for row in metrics.values():
            self._rows.setdefault(str(row["family"]), {})[str(row["field"])] = row

    def collect(self) -> Iterator[Metric]:
        """Yield them, each name once."""
        taken: set[str] = set()
        for metric in self._all():
            names = {metric.name, *(sample.name for sample in metric.samples)}
            if metric.samples and not names & taken:
                taken |= names
                yield metric

    def _all(self) -> Iterator[Metric]:
        yield from _health(self._described)
        for family, content in self._described["readings"].items():
            several = all(isinstance(values, dict) for values in content.values())
            instances = {_label(name): values for name, values in content.items()} if several else {"": content}
            yield from _family(family, self._rows.get(family, {}), instances, several=several)


def _health(described: Mapping[str, Any]) -> Iterator[Metric]:
    """Yield what healthd says of the whole machine, and of itself."""
    health, unavailable = described["health"], described["unavailable"]
    states = StateSetMetricFamily("healthd_health", "The verdict on this machine.")
    states.add_metric([], {name: health["severity"] == name for name in _SEVERITIES})
    yield states
    conditions = GaugeMetricFamily(
        "healthd_condition", "1 for each condition that is not ok; counted tells whether the verdict rests on it.",
        labels=["rule", "subject", "severity", "counted"],
    )  # fmt: skip
    # Names that differ may look the same as labels.
    shown = {_label(name): name for name in health["conditions"]}
    for label, name in shown.items():
        rule, _, subject = label.partition("@")
        counted = str(int(name in health["reasons"]))
        conditions.add_metric([rule, subject, _label(health["conditions"][name]["severity"]), counted], 1)
    yield conditions
    families = GaugeMetricFamily(
        "healthd_family_available", "Whether a family of metrics could be observed; where not, problem says why.",
        labels=["family", "problem"],
    )  # fmt: skip
    for family in dict.fromkeys([*described["readings"], *(name for name in unavailable if "@" not in name)]):
        problem = _label(unavailable[family]["problem"]) if family in unavailable else ""
        families.add_metric([family, problem], 0 if problem else 1)
    yield families
    if (time := seconds(described["time"])) is not None:
        sampled = GaugeMetricFamily("healthd_sample_timestamp_seconds", "When healthd sampled last.", unit="seconds")
        sampled.add_metric([], time)
        yield sampled
    yield InfoMetricFamily("healthd_build", "The healthd that tells this.", {"version": _label(described["version"])})


def _family(
    family: str, rows: Mapping[str, Row], instances: Mapping[str, Values], *, several: bool
) -> Iterator[Metric]:
    """Yield the metrics of one family; one that has not several has the instance ""."""
    labels = [family] * several
    texts = [field for field, row in rows.items() if row["signature"] == "s" and field != family]
    for field, row in rows.items():
        name, unit, factor = form(family, field, str(row["unit"]))
        if row["signature"] == "s" or _counted(field, rows) or not _NAME.fullmatch(name):
            continue
        place = field.partition("_")[0] if row["signature"] == "ad" else ""
        names = [*labels, f"{place}_number" if place in labels else place] if place else labels
        kind = CounterMetricFamily if row["kind"] == "counter" else GaugeMetricFamily
        found = kind(name, str(row["summary"]), labels=names, unit=unit)
        for instance, values in instances.items():
            for number, value in _numbers(values.get(field)):
                found.add_metric([instance] * several + [number] * bool(place), round(value * factor, 9))
        yield found
    infos = InfoMetricFamily(f"healthd_{family}", f"The texts of {family}.", labels=labels)
    for instance, values in instances.items():
        known = {
            field: _label(text)
            for field in texts
            if isinstance(text := values.get(field), str) and _NAME.fullmatch(field)
        }
        if known:
            infos.add_metric([instance] * several, known)
    yield infos


def _counted(field: str, rows: Mapping[str, Row]) -> bool:
    """Tell whether it is the rate of a counter that is there."""
    counter = field.removesuffix("_per_second")
    return counter != field and counter in rows and rows[counter]["kind"] == "counter"


def _numbers(value: object) -> Iterator[tuple[str, float]]:
    """Yield the numbers of a value with their places in it; none where it is unknown."""
    for place, part in enumerate(value if isinstance(value, list) else [value]):
        if isinstance(part, int | float):
            yield str(place), float(part)


_label = Style().clean
