"""Values on a vertical axis: round numbers in the unit of a metric."""

from collections.abc import Callable
from math import ceil, floor, log10
from typing import NamedTuple

from healthctl.render import units


class Measure(NamedTuple):
    """How values of a unit are written, and what an axis for them is like."""

    write: Callable[[float], str]
    """Write one value."""
    names: tuple[str, ...] = ("",)
    """The unit and its multiples."""
    base: float = 1000.0
    """How many of one make the next."""
    least: float = 1.0
    """What an axis spans at least: less looks like much, and means nothing."""
    close: float = 0.0
    """Values that lie closer together than this share of them are shown without zero, or they would be one line."""

    @property
    def column(self) -> int:
        """The columns that numbers on an axis hardly ever exceed."""
        return 5 + max(map(len, self.names))


class Tick(NamedTuple):
    """A place on an axis: from 0, at its beginning, to 1; and what is written there."""

    place: float
    label: str


class Scale(NamedTuple):
    """An axis from one round number to another."""

    low: float
    high: float
    ticks: tuple[Tick, ...]
    """From low to high."""

    def place(self, value: float) -> float:
        """Return where a value is: 0 at the low end to 1 at the high one."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 99.95 else f"{value:.3g}"


_BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_COUNTS = ("", "k", "M", "G", "T")
_MEASURES = {
    "percent": Measure(units.percent, ("%",)),
    "bytes": Measure(units.iec, _BYTES, 1024.0, least=1024.0, close=0.25),
    "bytes_per_second": Measure(units.rate, tuple(f"{name}/s" for name in _BYTES), 1024.0, least=1024.0),
    "hertz": Measure(units.hertz, ("Hz", "kHz", "MHz", "GHz"), least=1000.0, close=0.25),
    "per_second": Measure(lambda value: f"{_number(value)}/s", tuple(f"{name}/s" for name in _COUNTS)),
    "seconds": Measure(lambda value: f"{value:.3g} s", ("s",), least=0.001, close=0.25),
    "tasks": Measure(lambda value: f"{value:.2f}", least=0.5),
    "rpm": Measure(lambda value: f"{value:.0f} rpm", ("rpm",), least=100.0),
    "volts": Measure(lambda value: f"{value:.4g} V", ("V",), least=0.01, close=0.5),
    "amperes": Measure(lambda value: f"{value:.3g} A", ("A",), least=0.1),
    "watts": Measure(lambda value: f"{_number(value)} W", ("W",)),
    "watt_hours": Measure(lambda value: f"{_number(value)} Wh", ("Wh",)),
    "pascals": Measure(lambda value: f"{value:.0f} Pa", ("Pa",), least=100.0, close=0.5),
    "dbm": Measure(lambda value: f"{value:.0f} dBm", ("dBm",), least=10.0, close=0.75),
}
_COUNT = Measure(_number, _COUNTS, close=0.25)


def measure(unit: str, degree: str) -> Measure:
    """Return the measure of a unit as `ListMetrics` names it; one that nobody knows is a count."""
    if unit == "celsius":
        return Measure(lambda value: f"{value:.1f} {degree}", (degree,), least=2.0, close=0.5)
    return _MEASURES.get(unit, _COUNT)


def scale(kind: Measure, low: float, high: float, intervals: int) -> Scale:
    """Return an axis that holds the values from low to high, divided into so many intervals, two or more, or fewer."""
    low, high = _ends(kind, low, high)
    largest, multiple = max(abs(low), abs(high)), 0
    while multiple + 1 < len(kind.names) and largest >= 0.8 * kind.base ** (multiple + 1):
        multiple += 1
    name, unit = kind.names[multiple], kind.base**multiple
    first, last, step, digits = _round(low / unit, high / unit, intervals)
    ticks = tuple(
        Tick((number - first) / (last - first), f"{number * step:.{digits}f} {name}".rstrip())
        for number in range(first, last + 1)
    )
    return Scale(first * step * unit, last * step * unit, ticks)


def _ends(kind: Measure, low: float, high: float) -> tuple[float, float]:
    """Return what the axis has to span: with zero, unless the values lie close together."""
    apart = high - low
    if low > 0 and apart >= kind.close * high:
        return 0.0, max(high, kind.least)
    if high < 0 and apart >= kind.close * -low:
        return min(low, -kind.least), 0.0
    least = max(kind.least, 0.02 * max(abs(low), abs(high)))
    if apart >= least:
        return low, high
    if low == 0:
        return 0.0, least
    middle = low + apart / 2
    start = max(middle - least / 2, 0.0) if low > 0 else middle - least / 2
    return start, start + least


def _round(low: float, high: float, intervals: int) -> tuple[int, int, float, int]:
    """Return the ends as multiples of a round step, the step, and the decimal places it has."""
    power = floor(log10((high - low) / intervals))
    while True:
        for factor in (1, 2, 5):
            step = factor * 10.0**power if power >= 0 else factor / 10.0**-power
            # What is a multiple but for the last binary digit is one.
            first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
            if last - first <= intervals:
                return first, last, step, max(0, -power)
        power += 1
