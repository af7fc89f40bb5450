"""Conditions: how bad they are, and their values and thresholds in words.

A condition is what `Describe`, `ListConditions` and `Explain` give of it, all by the same keys.
"""

from collections.abc import Mapping

from healthctl.render.described import Values, number, text
from healthctl.render.line import Line, cells, cut_start, pad
from healthctl.render.scale import measure
from healthctl.render.section import LIMIT, Frame, names_width
from healthctl.render.style import Style
from healthctl.render.units import age, span
from healthd import protocol

NOTHING = "-"
"""Stands in a cell for what there is not."""

_SHORTEST, _LONGEST = 3600.0, 86400.0
"""What of the history is shown, seconds."""
_WORST_FIRST = (protocol.CRITICAL, protocol.WARNING, protocol.UNKNOWN, protocol.NOTICE, protocol.OK)


def rank(condition: Values) -> tuple[bool, int, bool]:
    """Return where it belongs: the worst first, below it what does not count for the host, and last what is ok."""
    return not counts(condition), place(text(condition, "severity")), not pending(condition)


def ordered(conditions: Mapping[str, Values]) -> list[tuple[str, Values]]:
    """Return conditions with their names, the worst first."""
    return sorted(conditions.items(), key=lambda row: (rank(row[1]), row[0]))


def place(severity: str) -> int:
    """Return where a severity belongs among all of them, the worst first, and first what is not known here."""
    return _WORST_FIRST.index(severity) if severity in _WORST_FIRST else 0


def counts(condition: Values) -> bool:
    """Tell whether it makes the host what it is."""
    ignored = text(condition, "inhibited_by") or text(condition, "acknowledged_by")
    return not ignored and text(condition, "severity") not in (protocol.NOTICE, protocol.OK)


def pending(condition: Values) -> bool:
    """Tell whether it is ok and would not stay so."""
    return condition.get("pending") is True and text(condition, "severity") == protocol.OK


def since(condition: Values) -> float | None:
    """Return since when it has its severity, seconds since 1970; `None` where that is unknown."""
    usec = number(condition, "since_usec")
    return (usec / 1e6 if usec else number(condition, "since")) or None


def quantity(value: float | None, unit: str, style: Style) -> str:
    """Write a value in its unit."""
    if value is None:
        return NOTHING
    return span(value) if unit == "seconds" else measure(unit, style.glyphs.degree).write(value)


def value(condition: Values, style: Style) -> str:
    """Write its value."""
    return quantity(number(condition, "value"), text(condition, "unit"), style)


def threshold(condition: Values, style: Style) -> str:
    """Write what its value was compared with."""
    return quantity(number(condition, "threshold"), text(condition, "unit"), style)


def headroom(condition: Values, style: Style) -> str:
    """Write how far its value is from the threshold."""
    return quantity(number(condition, "headroom"), text(condition, "unit"), style)


def remark(condition: Values) -> str:
    """Say why it does not count for the host, where it does not."""
    if who := text(condition, "acknowledged_by"):
        return f"acknowledged by {who}"
    cause = text(condition, "inhibited_by")
    return f"caused by {cause}" if cause else ""


def summary(condition: Values, severity: str = "") -> str:
    """Say what is the matter, after a severity and the remark."""
    before = ", ".join(filter(None, (severity, remark(condition))))
    return ": ".join(filter(None, (before, text(condition, "summary"))))


def reasons(frame: Frame) -> list[Line]:
    """Draw a line for each reason of the verdict, and for what does not count a faded one."""
    described = frame.described
    rows = [(name, described.conditions.get(name, {})) for name in described.reasons]
    rows += [(name, row) for name, row in ordered(described.conditions) if name not in described.reasons]
    shown = [(name, _figures(row, frame.style), _lasts(frame, row), row) for name, row in rows[:LIMIT]]
    names = names_width((name for name, *_ in shown), max(frame.width // 3, 8))
    figures = names_width((figures for _, figures, *_ in shown), frame.width)
    lasts = names_width((lasts for *_, lasts, _ in shown), frame.width)
    lines = []
    for name, measured, long, row in shown:
        counting = name in described.reasons
        severity = text(row, "severity") or described.severity
        # What is unknown is no statement: that has to stand before what it would mean.
        other = severity if severity != described.severity or severity == protocol.UNKNOWN else ""
        role = severity if counting else "dim"
        line: Line = [(f"  {pad(_short(name, names, frame.style), names, '')}", role)]
        for cell, column in ((measured, figures), (long, lasts)):
            if column:
                line += [("  ", ""), (pad(cell, column, ""), "" if counting else "dim")]
        lines.append([*line, ("  ", ""), (summary(row, other), "" if counting else "dim")])
    if len(rows) > LIMIT:
        lines.append([(f"  +{len(rows) - LIMIT} more: healthctl conditions", "dim")])
    return lines


def _short(name: str, width: int, style: Style) -> str:
    """Return a name that fits the width where it can: of an instance the end tells most."""
    rule, at, instance = name.partition("@")
    room = width - cells(rule + at)
    return rule + at + cut_start(instance, room, style.glyphs.mark) if at and room > 1 else style.cut(name, width)


def _figures(condition: Values, style: Style) -> str:
    """Write value and threshold as short as they can be."""
    if number(condition, "value") is None:
        return ""
    limit = f" ({threshold(condition, style)})" if number(condition, "threshold") is not None else ""
    return value(condition, style) + limit


def _lasts(frame: Frame, condition: Values) -> str:
    """Say for how long it is so."""
    begun, now = since(condition), frame.described.time
    return age(now - begun) if begun is not None and now is not None else ""


def addresses(told: Values) -> list[str]:
    """Return the metrics that a condition's rule looks at, and the one that decided."""
    rule, instance = told.get("rule"), told.get("instance")
    looked_at = str(rule.get("metric") or "").split(" + ") if isinstance(rule, dict) else []
    family = looked_at[0].partition(".")[0] if looked_at else ""
    names = [*looked_at, *str(told.get("metric") or "").split(" + ")]
    own = f"@{instance}" if instance else ""
    return list(dict.fromkeys(name + (own if name.partition(".")[0] == family else "") for name in names if name))


def told_from(told: Values, now: float) -> float:
    """Return when the history begins that is shown with a condition, seconds since 1970."""
    begun = since(told)
    return now - (_SHORTEST if begun is None else min(max(now - begun, _SHORTEST), _LONGEST))
