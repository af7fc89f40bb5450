"""Batteries, and whether the mains feed the machine."""

from healthctl.render import units
from healthctl.render.described import Values, number, text
from healthctl.render.line import Line, extend, pad
from healthctl.render.section import Frame, names_width, section, unavailable

_LARGEST_NAME = 20
_BATTERIES = ("battery", "ups", "device")


def batteries(frame: Frame) -> list[Line]:
    """Draw each battery: what is in it, what it does, and for how long; supplies without one only where they feed."""
    described = frame.described
    problem = described.problem("battery")
    if described.unsupported("battery"):
        return []
    readings = described.instances("battery")
    shown = {name: values for name, values in readings.items() if text(values, "kind") in _BATTERIES}
    column = names_width(shown, _LARGEST_NAME)
    lines = [_battery(frame, name, values, column) for name, values in shown.items()]
    fed = [name for name, values in readings.items() if values.get("on_mains") is True]
    if fed:
        lines.append([(f"on mains ({', '.join(fed)})", "dim")])
    problems = ((name, described.problem("battery", name)) for name in described.problems("battery"))
    lines += [[(f"{name}: {reason}", "dim")] for name, reason in problems]
    if problem:
        lines.append(unavailable(problem))
    return section("Battery", lines)


def _battery(frame: Frame, name: str, values: Values, column: int) -> Line:
    bar = frame.bar((number(values, "percent"), frame.style.glyphs.user, "used"))
    row: Line = [*bar, (f"{units.percent(number(values, 'percent')):>9}", "")]
    row = extend(row, [(pad(name, column, frame.style.glyphs.mark), "")], frame.room)
    watts = number(values, "power_watts")
    said = [
        text(values, "status"),
        *(
            f"{what} in {units.duration(seconds)}"
            for what in ("empty", "full")
            if (seconds := number(values, f"{what}_seconds")) is not None
        ),
        f"{watts:.1f} W" if watts else "",
    ]
    for word in filter(None, said):
        row = extend(row, [(word, "dim")], frame.room)
    return row
