"""How an event reads as a line."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from healthctl.render.line import UNBOUNDED, Line
from healthctl.render.scale import measure
from healthctl.render.style import Style
from healthctl.render.units import UNKNOWN, by_name, span
from healthctl.render.users import brief
from healthd import protocol

_NAME = 19
"""Columns of the names."""

_DATE = "%b %d %H:%M:%S"

_ROLES = {
    protocol.COLLECTOR_FAILED: protocol.WARNING,
    protocol.COLLECTOR_RECOVERED: protocol.OK,
    protocol.RUNTIME_GAP: protocol.NOTICE,
    protocol.RUNTIME_STARTED: "bold",
    protocol.RUNTIME_STOPPED: "bold",
}

Data = Mapping[str, Any]


class Told(NamedTuple):
    """An event in words."""

    time: str
    """In the local time zone."""
    name: str
    role: str
    """The colour of its name."""
    words: str


def event(text: str, units: Mapping[str, str], style: Style) -> str:
    """Write a line of JSON as one that people read; `units` by field are for samples.

    What is no event is written as it is.
    """
    found = told(text, units, style)
    if found is None:
        return style.clean(text)
    line: Line = [
        (found.time, "dim"),
        ("  ", ""),
        (f"{found.name:<{_NAME}}", found.role),
        ("  ", ""),
        (found.words, ""),
    ]
    # A terminal breaks it where it is too long: what happened is worth more than a line.
    return style.write(line, UNBOUNDED)


def told(text: str, units: Mapping[str, str], style: Style) -> Told | None:
    """Tell the event of a line of JSON; `None` where it is none."""
    try:
        content = json.loads(text)
        name, data, time = str(content["name"]), content["data"], _local(content["time"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    words = _words(name, data, units, style) if isinstance(data, dict) else _json(data)
    return Told(time, style.clean(name), _role(name, data), style.clean(words))


def _role(name: str, data: Any) -> str:
    if name == protocol.HEALTH_TRANSITION and isinstance(data, dict):
        return str(data.get("to", ""))
    return "dim" if name.startswith("system.") else _ROLES.get(name, "")


def _local(time: str) -> str:
    return datetime.fromisoformat(time).astimezone().strftime(_DATE)


def _json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def _words(name: str, data: Data, units: Mapping[str, str], style: Style) -> str:
    try:
        if name in _SENTENCES:
            return _SENTENCES[name](data)
        if name.startswith("system."):
            return _sample(data, units, style)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        """Another healthd's data: they are written as they are."""
    return _json(data)


def _what(data: Data) -> str:
    """Name a family, or one of its instances."""
    return f"{data['family']} {data['instance']}" if data.get("instance") else str(data["family"])


def _condition(data: Data) -> str:
    return f"{data['condition']}@{data['instance']}" if data["instance"] else str(data["condition"])


def _transition(data: Data) -> str:
    """Say what a condition is now; its summary says what is the matter, where that is so."""
    words = f"{_condition(data)} is {data['to']}"
    if data["to"] == protocol.OK:
        return f"{words} again" if data.get("judged") is not False else f"{_condition(data)} is not judged any more"
    return words if data["to"] == protocol.UNKNOWN else f"{words}: {data['summary']}"


def _acknowledged(data: Data) -> str:
    until = f" until {datetime.fromtimestamp(data['until']).astimezone():{_DATE}}" if data["until"] is not None else ""
    return f"{data['who']} has acknowledged {_condition(data)}{until}"


def _witnessed(data: Data) -> str:
    return f"most of {data['resource']}: {brief(dict(data)) or 'nobody'}"


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
    protocol.HEALTH_TRANSITION: _transition,
    protocol.HEALTH_ACKNOWLEDGED: _acknowledged,
    protocol.HEALTH_WITNESSED: _witnessed,
    protocol.COLLECTOR_FAILED: _failed,
    protocol.COLLECTOR_RECOVERED: lambda data: f"{_what(data)} is available again",
    protocol.COLLECTOR_ENABLED: lambda data: f"{_what(data)} is observed again",
    protocol.COLLECTOR_DISABLED: lambda data: f"{_what(data)} is not observed any more",
    protocol.CONFIG_LOADED: lambda data: f"in force is {', '.join(data['files']) or 'the default configuration'}",
    protocol.CONFIG_REFUSED: lambda data: f"a configuration was refused: {'; '.join(data['faults'])}",
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
