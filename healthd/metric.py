"""The declaration of a metric: what follows from it on the bus, in JSON and in documentation is derived, not written.

A `Table` is a frozen dataclass whose fields are declared by `gauge`, `counter` and `state`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, ClassVar, TypeVar, dataclass_transform, get_type_hints

from healthd import protocol


class Kind(StrEnum):
    """How a metric moves."""

    GAUGE = "gauge"
    """Goes up and down; small moves stay inside its deadband."""
    COUNTER = "counter"
    """Only grows; answered from the latest sample and never signalled."""
    STATE = "state"
    """A fact: every change counts."""


class Unit(StrEnum):
    """What a metric is measured in. Shares are percent, 0 to 100."""

    AMPERES = "amperes"
    BYTES = "bytes"
    BYTES_PER_SECOND = "bytes_per_second"
    CELSIUS = "celsius"
    COUNT = "count"
    DBM = "dbm"
    HERTZ = "hertz"
    LOAD = "tasks"
    NONE = ""
    PASCALS = "pascals"
    PER_SECOND = "per_second"
    PERCENT = "percent"
    RPM = "rpm"
    SECONDS = "seconds"
    TIME = "unix_seconds"
    USEC = "usec"
    VOLTS = "volts"
    WATT_HOURS = "watt_hours"
    WATTS = "watts"


@dataclass(frozen=True, slots=True)
class Band:
    """A deadband: how far a value moves before it counts.

    The width is the larger of `absolute` and `relative` times the accepted value, or times the
    reading's field `of` where that is named; from `coarse_from` upwards it is at least `coarse`.
    """

    absolute: float = 0.0
    relative: float = 0.0
    of: str = ""
    coarse_from: float = float("inf")
    coarse: float = 0.0

    def left(self, accepted: float, new: float, whole: float) -> bool:
        """Tell whether `new` has left the band around `accepted`; to or from zero always has."""
        if not accepted or not new:
            return accepted != new
        width = max(self.absolute, self.relative * abs(whole))
        if abs(accepted) >= self.coarse_from:
            width = max(width, self.coarse)
        # Both are rounded to the same resolution: the margin only absorbs binary fractions.
        # What is no number, or leads away from none, has always left.
        return not abs(new - accepted) <= width * 1.000001


SHARE = Band(absolute=0.5)
PRESSURE = Band(absolute=0.1, coarse_from=5.0, coarse=0.5)

_BANDS = {
    Unit.PERCENT: SHARE,
    Unit.LOAD: Band(absolute=0.05),
    Unit.BYTES_PER_SECOND: Band(absolute=1024.0, relative=0.05),
    Unit.PER_SECOND: Band(absolute=1.0, relative=0.05),
    Unit.CELSIUS: Band(absolute=0.5),
    Unit.HERTZ: Band(relative=0.05),
    Unit.RPM: Band(absolute=20.0, relative=0.05),
    Unit.VOLTS: Band(absolute=0.005, relative=0.01),
    Unit.WATTS: Band(absolute=0.5, relative=0.05),
    Unit.WATT_HOURS: Band(absolute=0.1, relative=0.005),
    Unit.AMPERES: Band(absolute=0.02, relative=0.05),
    Unit.PASCALS: Band(absolute=20.0),
    # Twice the power, or half of it.
    Unit.DBM: Band(absolute=3.0),
}
_DIGITS = {
    Unit.PERCENT: 1,
    Unit.LOAD: 2,
    Unit.CELSIUS: 1,
    Unit.BYTES_PER_SECOND: 0,
    Unit.PER_SECOND: 1,
    Unit.HERTZ: 0,
    Unit.RPM: 0,
    Unit.VOLTS: 3,
    Unit.WATTS: 2,
    Unit.WATT_HOURS: 2,
    Unit.AMPERES: 3,
    Unit.PASCALS: 0,
    Unit.DBM: 0,
}
# A supply can be negative, a current go back, and a pressure be a difference.
_EITHER_WAY = (-1e8, 1e8)
_RANGES = {
    Unit.PERCENT: (0.0, 100.0),
    Unit.CELSIUS: (-273.1, 1000.0),
    Unit.VOLTS: _EITHER_WAY,
    Unit.AMPERES: _EITHER_WAY,
    Unit.WATTS: _EITHER_WAY,
    Unit.PASCALS: _EITHER_WAY,
    Unit.DBM: _EITHER_WAY,
}
_UNSIGNED = (0.0, float("inf"))


@dataclass(frozen=True, slots=True)
class Metric:
    """One declared field."""

    name: str
    """The field's name, which is also its JSON key."""
    kind: Kind
    unit: Unit
    summary: str
    """One sentence."""
    type: Any
    """The Python type with unknown left out: `float`, `int`, `str`, `bool`, `tuple[float, ...]`, `tuple[str, ...]`."""
    optional: bool
    """Whether the value can be unknown, `None`."""
    signature: str
    """The D-Bus type."""
    live: bool
    """Answered from the latest sample, never signalled, no part of what is accepted: counters and values per core."""
    band: Band | None
    digits: int | None
    """Resolution of a float: decimal places."""
    minimum: float
    maximum: float


def camel(name: str) -> str:
    """Return a name as D-Bus writes it: `available_bytes` is `AvailableBytes`, `_usec` becomes `USec`."""
    return "".join("USec" if word == "usec" else word.capitalize() for word in name.split("_"))


def _declare(
    kind: Kind,
    unit: Unit,
    summary: str,
    *,
    live: bool = False,
    band: Band | None = None,
    digits: int | None = None,
    span: tuple[float, float] | None = None,
    signature: str = "",
) -> Any:
    low, high = span or _RANGES.get(unit, _UNSIGNED)
    declared = {
        "kind": kind,
        "unit": unit,
        "summary": summary,
        "live": live,
        "band": band,
        "digits": digits,
        "signature": signature,
        "minimum": low,
        "maximum": high,
    }
    return field(metadata=declared, compare=not live)


def gauge(
    unit: Unit,
    summary: str,
    *,
    live: bool = False,
    band: Band | None = None,
    of: str = "",
    digits: int | None = None,
    span: tuple[float, float] | None = None,
) -> Any:
    """Declare a value that goes up and down.

    `live` is for values per core; `band` is the deadband where the unit's own is not meant; `of` names the
    field whose thousandth is the deadband (bytes of a whole); `digits` is a finer or coarser resolution than
    the unit's; `span` is the range of values that can be true.
    """
    if of:
        band = Band(relative=0.001, of=of)
    return _declare(Kind.GAUGE, unit, summary, live=live, band=band or _BANDS.get(unit), digits=digits, span=span)


def counter(unit: Unit, summary: str) -> Any:
    """Declare a total that only grows."""
    return _declare(Kind.COUNTER, unit, summary, live=True)


def state(
    summary: str, unit: Unit = Unit.NONE, *, live: bool = False, band: Band | None = None, signature: str = ""
) -> Any:
    """Declare a fact (text, flag, size, limit): every change counts, unless a `band` says less.

    `signature` is the D-Bus type where that of the Python type is not meant.
    """
    return _declare(Kind.STATE, unit, summary, live=live, band=band, signature=signature)


class Table:
    """A frozen dataclass that is the content of one D-Bus interface."""

    __slots__ = ()
    interface: ClassVar[str]
    metrics: ClassVar[tuple[Metric, ...]]


_SIGNATURES: dict[Any, str] = {
    float: "d",
    int: "t",
    str: "s",
    bool: "b",
    tuple[float, ...]: "ad",
    tuple[str, ...]: "as",
}
_TYPES: dict[Any, tuple[Any, bool, str]] = {plain: (plain, False, code) for plain, code in _SIGNATURES.items()} | {
    # D-Bus has no third state of a boolean: a flag that can be unknown is 1, 0 or -1.
    plain | None: (plain, True, "i" if plain is bool else code)
    for plain, code in _SIGNATURES.items()
}

_T = TypeVar("_T", bound=Table)


def _metrics(cls: type[Any]) -> tuple[Metric, ...]:
    hints = get_type_hints(cls)
    metrics = []
    for item in fields(cls):
        if hints[item.name] not in _TYPES:
            raise TypeError(f"{cls.__name__}.{item.name}: {hints[item.name]} is no type of a metric")
        if not item.metadata:
            raise TypeError(f"{cls.__name__}.{item.name}: declare it by gauge, counter or state")
        band = item.metadata["band"]
        if band and band.of and band.of not in hints:
            raise TypeError(f"{cls.__name__}.{item.name}: there is no {band.of} to take a part of")
        plain, optional, signature = _TYPES[hints[item.name]]
        declared = dict(item.metadata)
        if declared["digits"] is None and plain in (float, tuple[float, ...]):
            declared["digits"] = _DIGITS.get(declared["unit"], 3)
        declared["signature"] = declared["signature"] or signature
        metrics.append(Metric(name=item.name, type=plain, optional=optional, **declared))
    return tuple(metrics)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(gauge, counter, state))
def table(name: str) -> Callable[[type[_T]], type[_T]]:
    """Make a class the content of the interface `org.healthd.Health1.NAME`."""

    def decorate(cls: type[_T]) -> type[_T]:
        made = dataclass(frozen=True, slots=True, kw_only=True)(cls)
        made.interface = f"{protocol.INTERFACE}.{name}"
        made.metrics = _metrics(made)
        return made

    return decorate
