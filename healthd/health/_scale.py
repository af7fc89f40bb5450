"""How values are compared, and how the quantities are written that they are compared with."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from healthd.metric import Unit
from healthd.quantity import NoQuantity, duration, found, size


class BadThreshold(ValueError):
    """A text is no threshold: `expected` and `found` say why."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(expected, found)
        self.expected = expected
        self.found = found


LARGEST = 1e100
"""No number that is beyond this can be true, and those within can be added, multiplied and recorded."""


class Scale(NamedTuple):
    """How a value is compared: its unit and type, and whether it is a share written as a number up to 1."""

    unit: Unit
    type: Any
    is_ratio: bool = False

    @property
    def is_number(self) -> bool:
        """Whether values can be added, and compared by size."""
        return self.type in (float, int)


def _is_number(value: Any) -> bool:
    return type(value) in (float, int) and -LARGEST < value < LARGEST


TRUE: Mapping[Any, Callable[[Any], bool]] = {
    float: _is_number,
    int: _is_number,
    bool: lambda value: type(value) is bool,
    str: lambda value: type(value) is str,
}
"""By the type of a metric: whether a value can be true. Whatever else a reading may hold is unknown."""

_FLAGS = {"true": True, "false": False}


def quantity(text: str, scale: Scale) -> Any:
    """Return a quantity in the unit of what it is compared with, or raise BadThreshold."""
    if scale.type is str:
        return text.strip("\"'")
    if scale.type is bool:
        if text not in _FLAGS:
            raise BadThreshold("true or false", found(text))
        return _FLAGS[text]
    expected, parse_unit = _unit(scale)
    for read in (float, parse_unit):
        try:
            value = read(text)
        except (NoQuantity, ValueError):
            continue
        if _is_number(value):
            return value
    raise BadThreshold(expected, found(text))


def _unit(scale: Scale) -> tuple[str, Callable[[str], float]]:
    """Return what a quantity of a unit looks like, and how it is read."""
    if scale.is_ratio:
        return 'a number, or a share like "1%"', lambda text: _number(text, ("%",)) / 100
    if scale.unit is Unit.BYTES:
        return 'a size like "20GiB"', lambda text: float(size(text))
    if scale.unit is Unit.BYTES_PER_SECOND:
        return 'a size like "1MiB" or "1MiB/s"', lambda text: float(size(text.removesuffix("/s")))
    if scale.unit in (Unit.SECONDS, Unit.TIME):
        return 'a duration like "5min"', duration
    suffixes = _SUFFIXES.get(scale.unit, ())
    return f"a number{f' or, like 75{suffixes[0]}, with its unit' if suffixes else ''}", lambda text: _number(
        text, suffixes
    )


_SUFFIXES: Mapping[Unit, Sequence[str]] = {
    Unit.PERCENT: ("%",),
    Unit.CELSIUS: ("°C", "C"),
    Unit.PER_SECOND: ("/s",),
    Unit.RPM: ("rpm",),
    Unit.VOLTS: ("V",),
    Unit.AMPERES: ("A",),
    Unit.WATTS: ("W",),
    Unit.WATT_HOURS: ("Wh",),
    Unit.PASCALS: ("Pa",),
    Unit.DBM: ("dBm",),
}


def _number(text: str, suffixes: Sequence[str]) -> float:
    for suffix in suffixes:
        if text.endswith(suffix):
            return float(text.removesuffix(suffix))
    raise ValueError(text)
