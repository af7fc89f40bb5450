"""Values as they travel: names in CamelCase, unknown as D-Bus can say it."""

import math
from typing import Any

from healthd.dbus import Variant
from healthd.metric import Metric, Table, camel

UNKNOWN: dict[str, Any] = {"d": math.nan, "t": 2**64 - 1, "u": 2**32 - 1, "s": "", "i": -1, "b": False}
"""What stands for unknown, by D-Bus type; an array is then empty."""
_LARGEST = {"t": 2**64 - 1, "u": 2**32 - 1}


def wire(signature: str, value: Any) -> Any:
    """Return a value as the D-Bus type `signature` takes it.

    What that type can't hold is unknown: one value out of range must not cost a client the others.
    """
    if value is None:
        return [] if signature[0] == "a" else UNKNOWN[signature]
    if signature[0] == "a":
        return [wire(signature[1:], item) for item in value]
    if signature == "s":
        return value.encode("utf-8", "replace").decode().replace("\0", "�")
    if signature == "i":
        return int(value)
    if signature in _LARGEST and not 0 <= value <= _LARGEST[signature]:
        return UNKNOWN[signature]
    return value


def variant(metric: Metric, value: Any) -> Any:
    """Return a metric's value as a variant."""
    return Variant(metric.signature, wire(metric.signature, value))


_properties: dict[type[Table], dict[str, Metric]] = {}


def properties(table: type[Table]) -> dict[str, Metric]:
    """Return a table's metrics by the names of their properties."""
    known = _properties.get(table)
    if known is None:
        known = _properties[table] = {camel(metric.name): metric for metric in table.metrics}
    return known
