"""Values as people read them: `93 %`, `1.5 GiB`, `3 h 5 min`."""

from math import inf, isnan

from healthd.metric import Unit

_FINE, _ENDLESS = 10.0, 1e12
_LARGE = 1000.0
# By the least value: decimal places.
_DIGITS = ((_LARGE, 0), (10.0, 1), (0.0, 3))
_SIZES = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_SUFFIXES = {
    Unit.PERCENT: " %",
    Unit.CELSIUS: " °C",
    Unit.HERTZ: " Hz",
    Unit.PER_SECOND: "/s",
    Unit.USEC: " µs",
    Unit.RPM: " rpm",
    Unit.VOLTS: " V",
    Unit.AMPERES: " A",
    Unit.WATTS: " W",
    Unit.WATT_HOURS: " Wh",
    Unit.PASCALS: " Pa",
    Unit.DBM: " dBm",
}


def amount(value: float | None, unit: Unit) -> str:
    """Write a value with its unit; `-` where there is none."""
    if value is None or isnan(value):
        return "-"
    if unit is Unit.SECONDS:
        return span(value) if abs(value) < inf else "endless"
    if unit in (Unit.BYTES, Unit.BYTES_PER_SECOND):
        return _size(value) + ("/s" if unit is Unit.BYTES_PER_SECOND else "")
    return f"{_number(value)}{_SUFFIXES.get(unit, '')}"


def span(seconds: float) -> str:
    """Write a time by its two largest units: `3 h 5 min`."""
    if not abs(seconds) < _ENDLESS:
        return "an unknown time"
    if abs(seconds) < _FINE:
        return f"{abs(seconds):.3g} s"
    minutes, second = divmod(round(abs(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    units = [
        f"{count} {unit}" if count else "" for count, unit in ((days, "d"), (hour, "h"), (minute, "min"), (second, "s"))
    ]
    first = next(number for number, unit in enumerate(units) if unit)
    return " ".join(unit for unit in units[first : first + 2] if unit)


def _size(value: float) -> str:
    if abs(value) < _LARGE:
        return f"{_number(value)} B"
    power = 1
    while abs(value) >= _LARGE * 1024**power and power < len(_SIZES):
        power += 1
    return f"{value / 1024**power:.3g} {_SIZES[power - 1]}"


def _number(value: float) -> str:
    """Write a number with no more digits than a person looks at: `0.035`, `94.1`, `12345`."""
    text = f"{value:.{next(digits for least, digits in _DIGITS if abs(value) >= least)}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text
