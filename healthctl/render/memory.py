"""Memory and swap."""

from healthctl.render import units
from healthctl.render.described import blank, number
from healthctl.render.line import Line, extend
from healthctl.render.section import Frame, section, stale, unavailable


def memory(frame: Frame) -> list[Line]:
    """Draw how much of each is used."""
    values, problem = frame.described.single("memory"), frame.described.problem("memory")
    if not values and not problem:
        return []
    if blank(values):
        return section("Memory", [unavailable(problem)])
    available = number(values, "available_bytes")
    row = _meter(frame, *(number(values, field) for field in ("percent", "used_bytes", "total_bytes")))
    row = extend(row, [(f"{units.iec(available)} available", "dim")], frame.room)
    lines = section("Memory", [row, *stale(problem)])
    total = number(values, "swap_total_bytes")
    if total == 0:
        return lines + section("Swap", [[("none", "dim")]])
    used = number(values, "swap_used_bytes")
    return lines + section("Swap", [_meter(frame, number(values, "swap_percent"), used, total)])


def _meter(frame: Frame, share: float | None, used: float | None, total: float | None) -> Line:
    bar = frame.bar((share, frame.style.glyphs.user, "used"))
    return [*bar, (f"{units.percent(share):>9}", ""), (f"  {units.iec(used):>8} / {units.iec(total):<8}", "")]
