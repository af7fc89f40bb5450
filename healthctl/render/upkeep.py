"""What keeps the machine right: a Raspberry Pi's power and cooling, its clock, its units."""

from healthctl.render.described import Values, blank, number, text
from healthctl.render.line import Line
from healthctl.render.section import Frame, section, unavailable
from healthd import protocol

_THROTTLING = {
    "under_voltage": "under-voltage",
    "frequency_capped": "frequency capped",
    "throttled": "throttled",
    "soft_temperature_limit": "temperature limit",
}


def upkeep(frame: Frame) -> list[Line]:
    """Draw what the firmware lowers, whether the clock is kept, and the units that failed, where there are some."""
    lines = [("Throttling", throttling(frame)), ("Clock", clock(frame)), ("Services", services(frame))]
    return [line for label, row in lines for line in section(label, [row] if row else [])]


def throttling(frame: Frame) -> Line:
    """Say what the firmware of a Raspberry Pi lowers, or has since boot."""
    values = frame.described.single("throttling")
    if not values or blank(values):
        return _absent(frame, "throttling")
    now = [word for name, word in _THROTTLING.items() if values.get(name) is True]
    unknown = [word for name, word in _THROTTLING.items() if values.get(name) is None]
    row: Line = [(", ".join(now) if now else "none now", protocol.CRITICAL if now else "")]
    since = [word for name, word in _THROTTLING.items() if values.get(f"{name}_since_boot") is True]
    if since:
        row.append((f"  since boot: {', '.join(since)}", protocol.NOTICE))
    if unknown:
        row.append((f"  unknown: {', '.join(unknown)}", "dim"))
    return row


def clock(frame: Frame) -> Line:
    """Say whether the clock is kept, and by whom."""
    values = frame.described.single("clock")
    kept = values.get("synchronised")
    if kept is None:
        return _absent(frame, "clock")
    row: Line = [("synchronised" if kept else "not synchronised", "")]
    offset = number(values, "offset_seconds")
    said = [
        f"by {source}" if (source := text(values, "source")) and kept else "",
        f"{1000 * offset:+.0f} ms" if kept and offset is not None else "",
        "no RTC" if values.get("rtc") is False else "",
    ]
    return [*row, *((f"  {word}", "dim") for word in said if word)]


def services(frame: Frame) -> Line:
    """Name the units that failed; nothing where there are none."""
    values: Values = frame.described.single("services")
    failed = number(values, "failed_units")
    if failed is None:
        return _absent(frame, "services")
    if not failed:
        return []
    return [(f"{failed:.0f} failed", protocol.WARNING), (f"  {text(values, 'failed')}", "")]


def _absent(frame: Frame, family: str) -> Line:
    problem = frame.described.problem(family)
    return unavailable(problem) if problem and not frame.described.unsupported(family) else []
