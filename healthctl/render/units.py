"""Values as people read them. Unknown is `?`, never zero."""

UNKNOWN = "?"

_IEC = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_SI = ("kHz", "MHz", "GHz")


def _three_digits(value: float) -> str:
    if value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def _scaled(value: float, unit: str, base: int, larger: tuple[str, ...]) -> str:
    if value < 999.5:
        return f"{value:.0f} {unit}"
    for name in larger:
        unit, value = name, value / base
        if value < 999.5:
            break
    return f"{_three_digits(value)} {unit}"


def iec(value: float | None) -> str:
    """Write bytes with three digits: `1.50 GiB`; at most eight characters up to 999 EiB."""
    return UNKNOWN if value is None else _scaled(value, "B", 1024, _IEC)


def rate(value: float | None) -> str:
    """Write bytes per second: `12.3 KiB/s`."""
    return UNKNOWN if value is None else f"{iec(value)}/s"


def hertz(value: float | None) -> str:
    """Write a frequency: `1.50 GHz`."""
    return UNKNOWN if value is None else _scaled(value, "Hz", 1000, _SI)


def bits(value: float | None) -> str:
    """Write the speed of a link, given in bytes per second: `1 Gbit/s`."""
    if value is None:
        return UNKNOWN
    megabits = value * 8 / 1e6
    return f"{megabits / 1000:g} Gbit/s" if megabits >= 1000 else f"{megabits:g} Mbit/s"


def percent(value: float | None) -> str:
    """Write a share: `12.3 %`."""
    return UNKNOWN if value is None else f"{value:.1f} %"


def duration(seconds: float | None) -> str:
    """Write seconds with their two largest units: `3 days 4 h`, `12 min 5 s`."""
    if seconds is None:
        return UNKNOWN
    minutes, rest = divmod(int(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} day{'s' if days > 1 else ''} {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def by_name(field: str, value: object) -> str:
    """Write any value in the unit that the end of its field's name tells."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(by_name(field, part) for part in value)
    if not isinstance(value, int | float):
        return str(value)
    for ending, write in (("_bytes_per_second", rate), ("_bytes", iec), ("_hertz", hertz), ("_seconds", duration)):
        if field.endswith(ending):
            return write(value)
    plain = str(value) if isinstance(value, int) else f"{value:g}"
    return percent(value) if field.endswith("percent") else plain


def span(seconds: float) -> str:
    """Write a length of time without what is zero: `0.25 s`, `5 s`, `1 min`, `3 h 5 min`."""
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    number, unit, *rest = duration(round(seconds)).split()
    return " ".join([number, unit] if rest[:1] in ([], ["0"]) else [number, unit, *rest])


def age(seconds: float) -> str:
    """Write for how long something lasts, by its largest unit: `40 s`, `12 min`, `3 h`, `5 days`."""
    return " ".join(duration(seconds).split()[:2])
