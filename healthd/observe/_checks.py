"""What a collector gives is held against what it declared: a wrong value is its fault, and must stay with it."""

from collections.abc import Mapping
from typing import Any

from healthd import protocol
from healthd.errors import Unobserved
from healthd.model import SINGLE, Family, Metric, Reading

_REMEMBERED = 32

_right: dict[type[Reading], list[list[type]]] = {}
"""For each reading the combinations of types that were found right before."""

_last: dict[type[Reading], Mapping[str, Any]] = {}
"""The readings of the last run, which were right: what has not changed since is the same object."""


def check(family: Family, readings: Mapping[str, Any]) -> None:
    """Check the readings of one run.

    Raises Unobserved for an instance that the family can't have, or a value of another type than is declared.
    """
    if family.single and list(readings) != [SINGLE]:
        raise _fault(family, f"gave instances {sorted(map(str, readings))}, and there is only one of it")
    before = _last.get(family.reading, {})
    for instance, reading in readings.items():
        if instance in before and before[instance] is reading:
            continue
        if not isinstance(instance, str) or (instance == SINGLE and not family.single):
            raise _fault(family, f"gave {instance!r} for the name of an instance")
        check_reading(family, reading)
    _last[family.reading] = readings


def check_reading(family: Family, reading: Any) -> None:
    """Check one reading; Unobserved is raised as `check` does."""
    if type(reading) is not family.reading:
        raise _fault(family, f"gave a {type(reading).__name__} for a {family.reading.__name__}")
    # A list, and no operator.attrgetter: tuples of some sizes stay on CPython's free lists, up to a MiB in all.
    types = [type(getattr(reading, name)) for name in family.by_name]
    right = _right.setdefault(family.reading, [])
    if types not in right:
        for metric in family.reading.metrics:
            value = getattr(reading, metric.name)
            if not _fits(metric, value):
                raise _fault(family, f"gave {type(value).__name__} {value!r:.50} for {metric.name}")
        right[_REMEMBERED:] = []
        right.append(types)


def _fits(metric: Metric, value: Any) -> bool:
    if value is None:
        return metric.optional
    if metric.type is float:
        return isinstance(value, float | int) and not isinstance(value, bool)
    if metric.type in (int, str, bool):
        return type(value) is metric.type
    return isinstance(value, tuple)


def _fault(family: Family, what: str) -> Unobserved:
    return Unobserved(protocol.FAILED, f"the collector of {family.name} {what}", "report it")
