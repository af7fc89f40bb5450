"""How an event reads as a line."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from healthctl.render.line import Line
from healthctl.render.scale import measure
from healthctl.render.style import Style
from healthctl.render.units import UNKNOWN, by_name, span
from healthd import protocol

_NAME = 19
"""Columns of the names."""

_WIDEST = 1_000_000

_ROLES = {
    protocol.COLLECTOR_FAILED: protocol.WARNING,
    protocol.COLLECTOR_RECOVERED: protocol.OK,
    protocol.RUNTIME_GAP: protocol.NOTICE,
    protocol.RUNTIME_STARTED: "bold",
    protocol.RUNTIME_STOPPED: "bold",
}

Data = Mapping[str, Any]


def event(text: str, units: Mapping[str, str], style: Style) -> str:
    """Write a line of JSON as one that people read; `units` by field are for samples.

    What is no event is written as it is.
    """
    try:
        content = json.loads(text)
        name, data, time = str(content["name"]), content["data"], _local(content["time"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return style.clean(text)
    words = _words(name, data, units, style) if isinstance(data, dict) else _json(data)
    role = "dim" if name.startswith("system.") else _ROLES.get(name, "")
    line: Line = [
        (time, "dim"),
        ("  ", ""),
        (f"{style.clean(name):<{_NAME}}", role),
        ("  ", ""),
        (style.clean(words), ""),
    ]
    # A terminal breaks it where it is too long: what happened is worth more than a line.
    return style.write(line, _WIDEST)


def _local(time: str) -> str:
    return datetime.fromisoformat(time).astimezone().strftime("%b %d %H:%M:%S")


def _json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def _words(name: str, data: Data, units: Mapping[str, str], style: Style) -> str:
    try:
        if name in _SENTENCES:
            return _SENTENCES[name](data)
        if name.startswith("system."):
            return _sample(data, units, style)
    except (KeyError, TypeError, ValueError, OverflowError):
        """Another healthd's data: they are written as they are."""
    return _json(data)


def _what(data: Data) -> str:
    """Name a family, or one of its instances."""
    return f"{data['family']} {data['instance']}" if data.get("instance") else str(data["family"])


def _failed(data: Data) -> str:
    reason = data.get("reason") or data.get("problem") or "for no reason that is known"
    return "; ".join(filter(None, (f"{_what(data)} is unavailable: {reason}", data.get("remedy"))))


def _gap(data: Data) -> str:
    seconds = data["seconds"]
    length = span(abs(seconds))
    match data["reason"]:
        case protocol.SUSPEND:
            return f"suspended for {length}"
        case protocol.CLOCK:
            return f"the clock was set {'back' if seconds < 0 else 'forward'} by {length}"
        case protocol.OVERRUN:
            return f"samples were late by {length}"
    return _json(data)


_SENTENCES: dict[str, Callable[[Data], str]] = {
    protocol.COLLECTOR_FAILED: _failed,
    protocol.COLLECTOR_RECOVERED: lambda data: f"{_what(data)} is available again",
    protocol.INSTANCE_ADDED: lambda data: f"{_what(data)} came",
    protocol.INSTANCE_REMOVED: lambda data: f"{_what(data)} went",
    protocol.RUNTIME_GAP: _gap,
    protocol.RUNTIME_STARTED: lambda data: (
        f"healthd {data['version']} started, a sample every {span(data['interval'])}"
    ),
    protocol.RUNTIME_STOPPED: lambda _: "healthd stopped",
}


def _sample(data: Data, units: Mapping[str, str], style: Style) -> str:
    """Write the fields that changed, by instance where there are several."""
    if data and all(isinstance(fields, dict) for fields in data.values()):
        return "  ".join(f"{instance}: {_sample(fields, units, style)}" for instance, fields in data.items())
    return "  ".join(f"{field} {_value(field, value, units.get(field, ''), style)}" for field, value in data.items())


def _value(field: str, value: Any, unit: str, style: Style) -> str:
    if value is None:
        return UNKNOWN
    if isinstance(value, list):
        return ", ".join(_value(field, part, unit, style) for part in value)
    if not unit or isinstance(value, bool) or not isinstance(value, int | float):
        return by_name(field, value)
    return measure(unit, style.glyphs.degree).write(float(value))
