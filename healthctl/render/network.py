"""Network interfaces."""

from healthctl.render import units
from healthctl.render.described import Values, blank, number, text
from healthctl.render.line import Line, extend, pad
from healthctl.render.section import Frame, most, names_width, section, unavailable

_LARGEST_NAME = 15


def networks(frame: Frame) -> list[Line]:
    """Draw the physical interfaces and those with traffic; the others are counted."""
    described = frame.described
    problem = described.problem("network")
    readings = {name: row for name, row in described.instances("network").items() if not (problem and blank(row))}
    chosen = [(row, _traffic(row[1])) for row in readings.items() if _worth(row[1])]
    shown, more = most(chosen)
    column = names_width((name for name, _ in shown), _LARGEST_NAME)
    lines = [_interface(frame, name, values, column) for name, values in shown]
    quiet = len(readings) - len(chosen)
    counted = [f"+{more} more"] * bool(more) + [f"+{quiet} idle/virtual"] * bool(quiet)
    if counted:
        lines.append([("  ".join(counted), "dim")])
    if problem:
        lines.append(unavailable(problem))
    return section("Network", lines)


def _traffic(values: Values) -> float:
    return (number(values, "rx_bytes_per_second") or 0.0) + (number(values, "tx_bytes_per_second") or 0.0)


def _worth(values: Values) -> bool:
    kind = text(values, "kind")
    return kind == "physical" or (kind != "loopback" and _traffic(values) > 0)


def _interface(frame: Frame, name: str, values: Values, column: int) -> Line:
    glyphs = frame.style.glyphs
    received, sent = number(values, "rx_bytes_per_second"), number(values, "tx_bytes_per_second")
    row: Line = [(pad(name, column, glyphs.mark), ""), (f"  {glyphs.down}", "dim"), (f"{units.rate(received):>11}", "")]
    row += [(f"  {glyphs.up}", "dim"), (f"{units.rate(sent):>11}", "")]
    if values.get("carrier") is False or text(values, "operstate") == "down":
        return extend(row, [("no link", "dim")], frame.room)
    speed = number(values, "speed_bytes_per_second")
    return extend(row, [(units.bits(speed), "dim")], frame.room) if speed else row
