"""Network interfaces."""

from collections.abc import Iterable

from healthctl.render import units
from healthctl.render.described import Values, blank, number, text
from healthctl.render.line import Line, extend, pad
from healthctl.render.section import Frame, most, names_width, section, unavailable

_LARGEST_NAME = 15
_TOTAL = "total"
_FIELDS = ("rx_bytes_per_second", "tx_bytes_per_second")


def networks(frame: Frame) -> list[Line]:
    """Draw the physical interfaces, what passes all of these, and others with traffic; the rest is counted."""
    described = frame.described
    problem = described.problem("network")
    readings = {name: row for name, row in described.instances("network").items() if not (problem and blank(row))}
    chosen = [(row, _traffic(row[1])) for row in readings.items() if _worth(row[1])]
    shown, more = most(chosen)
    physical = [row for row in readings.values() if _physical(row)]
    total = [_TOTAL] * (sum(row.get("carrier") is True for row in physical) > 1)
    column = names_width([*(name for name, _ in shown), *total], _LARGEST_NAME)
    lines = [_interface(frame, name, values, column) for name, values in shown]
    lines += [_total(frame, name, physical, column) for name in total]
    quiet = len(readings) - len(chosen)
    counted = [f"+{more} more"] * bool(more) + [f"+{quiet} idle/virtual"] * bool(quiet)
    if counted:
        lines.append([("  ".join(counted), "dim")])
    if problem:
        lines.append(unavailable(problem))
    return section("Network", lines)


def _traffic(values: Values) -> float:
    return sum(number(values, field) or 0.0 for field in _FIELDS)


def _physical(values: Values) -> bool:
    return text(values, "kind") == "physical"


def _worth(values: Values) -> bool:
    return _physical(values) or (text(values, "kind") != "loopback" and _traffic(values) > 0)


def _interface(frame: Frame, name: str, values: Values, column: int) -> Line:
    row = _rates(frame, name, [number(values, field) for field in _FIELDS], column)
    if values.get("carrier") is False or text(values, "operstate") == "down":
        return extend(row, [("no link", "dim")], frame.room)
    speed, signal = number(values, "speed_bytes_per_second"), number(values, "signal_dbm")
    if speed:
        row = extend(row, [(units.bits(speed), "dim")], frame.room)
    return row if signal is None else extend(row, [(f"{signal:.0f} dBm", "dim")], frame.room)


def _total(frame: Frame, name: str, physical: Iterable[Values], column: int) -> Line:
    """Draw what passes the physical interfaces: what passes the others passes one of these too."""
    sums = []
    for field in _FIELDS:
        known = [rate for values in physical if (rate := number(values, field)) is not None]
        sums.append(sum(known) if known else None)
    return extend(_rates(frame, name, sums, column), [("physical", "dim")], frame.room)


def _rates(frame: Frame, name: str, rates: Iterable[float | None], column: int) -> Line:
    glyphs = frame.style.glyphs
    row: Line = [(pad(name, column, glyphs.mark), "")]
    for glyph, rate in zip((glyphs.down, glyphs.up), rates, strict=True):
        row += [(f"  {glyph}", "dim"), (f"{units.rate(rate):>11}", "")]
    return row
