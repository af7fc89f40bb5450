"""What a collector gives is held against what it declared: a wrong value is its fault, and must stay with it."""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

from healthd import protocol
from healthd.errors import Unobserved
from healthd.model import SINGLE, Family, Metric, Reading

_TypesOf = Callable[[Reading], tuple[type, ...]]

_known: dict[type[Reading], tuple[_TypesOf, set[tuple[type, ...]]]] = {}
"""For each reading what tells the types of its values, and the combinations that were found right before."""


def check(family: Family, readings: Mapping[str, Any]) -> None:
    """Check the readings of one run.

    Raises Unobserved for an instance that the family can't have, or a value of another type than is declared.
    """
    if family.single and list(readings) != [SINGLE]:
        raise _fault(family, f"gave instances {sorted(map(str, readings))}, and there is only one of it")
    for instance, reading in readings.items():
        if not isinstance(instance, str) or (instance == SINGLE and not family.single):
            raise _fault(family, f"gave {instance!r} for the name of an instance")
        check_reading(family, reading)


def check_reading(family: Family, reading: Any) -> None:
    """Check one reading; Unobserved is raised as `check` does."""
    if type(reading) is not family.reading:
        raise _fault(family, f"gave a {type(reading).__name__} for a {family.reading.__name__}")
    if family.reading not in _known:
        _known[family.reading] = _types_of(family.reading), set()
    types_of, right = _known[family.reading]
    types = types_of(reading)
    if types not in right:
        for metric in family.reading.metrics:
            value = getattr(reading, metric.name)
            if not _fits(metric, value):
                raise _fault(family, f"gave {type(value).__name__} {value!r:.50} for {metric.name}")
        right.add(types)


def _types_of(reading: type[Reading]) -> _TypesOf:
    names = [metric.name for metric in reading.metrics]
    values = attrgetter(*names)
    if len(names) == 1:
        return lambda of: (type(values(of)),)
    return lambda of: tuple(map(type, values(of)))


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
