"""Who used most of what ran short: processes and units.

It is what `Explain` gives below `who`, and the data of `health.witnessed`.
"""

from typing import Any

from healthctl.render import units
from healthctl.render.described import Values, number, text

_SHARES = ("cpu",)
_NAMES = ("name", "pid", "unit")


def users(who: Values) -> list[str]:
    """Say who it was, each in a line, the worst first."""
    lines = [f"{_process(row)}  {_figures(row)}" for row in _rows(who, "processes")]
    lines += [f"{text(row, 'unit')}  {_figures(row)}" for row in _rows(who, "units")]
    hidden = number(who, "hidden")
    if hidden:
        reason = text(who, "reason")
        lines.append(f"{hidden:.0f} hidden" + (f": {reason}" if reason else ""))
    return lines


def brief(who: Values) -> str:
    """Name the processes, and how much each used."""
    rows = _rows(who, "processes")
    return ", ".join(f"{_process(row)} {_figures(row).partition(', ')[0].partition(' ')[2]}" for row in rows)


def _rows(who: Values, kind: str) -> list[Values]:
    rows = who.get(kind)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _process(row: Values) -> str:
    pid, unit = number(row, "pid"), text(row, "unit")
    where = ", ".join(filter(None, (f"{pid:.0f}" if pid is not None else "", unit)))
    name = text(row, "name") or "a process"
    return f"{name} ({where})" if where else name


def _figures(row: Values) -> str:
    """Write what was used: each figure by its name without its unit, but none that is zero."""
    used = {field: value for field, value in row.items() if field not in _NAMES and value != 0}
    return ", ".join(f"{_label(field)} {_figure(field, value)}" for field, value in used.items())


def _label(field: str) -> str:
    return field.removesuffix("_per_second").removesuffix("_bytes")


def _figure(field: str, value: Any) -> str:
    return units.percent(number({field: value}, field)) if field in _SHARES else units.by_name(field, value)
