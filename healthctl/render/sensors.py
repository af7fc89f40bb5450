"""Temperatures, and fans."""

from healthctl.render.described import Values, number, sensor_name, text
from healthctl.render.line import Line, extend, pad
from healthctl.render.section import Frame, most, names_width, section, unavailable
from healthd import protocol

_LARGEST_NAME = 26


def sensors(frame: Frame) -> list[Line]:
    """Draw temperatures, and what keeps them low."""
    return [*_temperatures(frame), *_fans(frame)]


def _temperatures(frame: Frame) -> list[Line]:
    """Draw the sensors that measure one, the hottest first where they are many."""
    described = frame.described
    readings = described.instances("sensor")
    rows = [
        (sensor_name(instance, values), values)
        for instance, values in readings.items()
        if number(values, "celsius") is not None
    ]
    shown, more = most([(row, number(row[1], "celsius")) for row in rows])
    column = names_width((name for name, _ in shown), _LARGEST_NAME)
    lines = [_temperature(frame, name, values, column) for name, values in shown]
    silent = [name for name in described.problems("sensor") if number(readings.get(name, {}), "celsius") is None]
    if more:
        lines.append([(f"+{more} more", "dim")])
    if silent:
        reason = described.problem("sensor", silent[0])
        lines.append([(f"{len(silent)} unavailable, {silent[0]}: {reason}", "dim")])
    if described.problem("sensor"):
        lines.append(unavailable(described.problem("sensor")))
    return section("Temperature", lines)


def _fans(frame: Frame) -> list[Line]:
    """Draw how fast the fans turn, as many as there is room for."""
    row: Line = []
    for instance, values in frame.described.instances("sensor").items():
        rpm = number(values, "rpm")
        if rpm is not None:
            low = number(values, "low_rpm")
            role = protocol.WARNING if low is not None and rpm < low else ""
            spans: Line = [(f"{sensor_name(instance, values)} ", "dim"), (f"{rpm:.0f} rpm", role)]
            row = extend(row, spans, frame.room) if row else spans
    return section("Fans", [row]) if row else []


def _temperature(frame: Frame, name: str, values: Values, column: int) -> Line:
    degree = frame.style.glyphs.degree
    celsius, high, critical = (number(values, f"{field}celsius") for field in ("", "high_", "critical_"))
    assert celsius is not None
    role = ""
    if critical is not None and celsius >= critical:
        role = protocol.CRITICAL
    elif high is not None and celsius >= high:
        role = protocol.WARNING
    row: Line = [(pad(name, column, frame.style.glyphs.mark), ""), (f"  {celsius:6.1f} {degree}", role)]
    for word, limit in (("high", high), ("critical", critical)):
        if limit is not None:
            row = extend(row, [(f"{word} {limit:g}", "dim")], frame.room)
    if text(values, "role") == "cpu":
        row = extend(row, [("the CPU", "dim")], frame.room)
    return row
