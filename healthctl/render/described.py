"""What `Describe` gives, ready to be shown: every text in it clean, every number a number or unknown."""

from collections.abc import Mapping
from sys import float_info
from typing import Any

from healthctl.render.style import Style
from healthd import protocol

Values = dict[str, Any]
"""The fields of one reading; `None` is unknown."""


def number(values: Values, field: str) -> float | None:
    """Return a field's value as a number; `None` where it is unknown."""
    value = values.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= float_info.max:
        return None
    return float(value)


def text(values: Values, field: str) -> str:
    """Return a field's text; "" where it is unknown."""
    value = values.get(field)
    return value if isinstance(value, str) else ""


def blank(values: Values) -> bool:
    """Tell whether nothing is known."""
    return all(value is None for value in values.values())


def cleaned(value: Any, style: Style) -> Any:
    """Return an object in which every text is one that can't move a cursor, names too."""
    if isinstance(value, str):
        return style.clean(value)
    if isinstance(value, dict):
        return {style.clean(name): cleaned(content, style) for name, content in value.items()}
    return [cleaned(part, style) for part in value] if isinstance(value, list) else value


def seconds(time: object) -> float | None:
    """Return a time like `2026-11-22T03:00:15.000Z` in seconds since 1970; `None` where it is none."""
    # Only here: what has no time to tell does without.
    from datetime import datetime  # noqa: PLC0415

    try:
        return datetime.fromisoformat(str(time)).timestamp()
    except (ValueError, OverflowError):
        return None


class Described:
    """The object that `Describe` gives."""

    def __init__(self, described: dict[str, Any], style: Style) -> None:
        content = cleaned(described, style)
        health = _object(content.get("health"))
        self.severity: str = text(health, "severity") or protocol.UNKNOWN
        reasons = health.get("reasons")
        self.reasons: list[str] = [str(reason) for reason in reasons] if isinstance(reasons, list) else []
        self.conditions: dict[str, Values] = {
            name: _object(condition) for name, condition in _object(health.get("conditions")).items()
        }
        self._time, self._since = text(content, "time"), text(health, "since")
        self._newer: float | None = None
        self.since_boot = number(content, "since_boot")
        self._readings: dict[str, Values] = {
            family: _object(readings) for family, readings in _object(content.get("readings")).items()
        }
        self._unavailable = _object(content.get("unavailable"))
        self.faults = len(text(described, "configuration").splitlines())
        """How many faults the configuration has that was refused."""

    @property
    def time(self) -> float | None:
        """When this was, seconds since 1970; `None` where that is unknown."""
        return seconds(self._time) if self._newer is None else self._newer

    @property
    def since(self) -> float | None:
        """Since when the machine is as it is, seconds since 1970; `None` where that is unknown."""
        return seconds(self._since) if self._since else None

    def take(self, time: float, since_boot: float, values: Mapping[str, Any]) -> None:
        """Take values by address that are newer, observed at a time (seconds since 1970 and since boot)."""
        self._newer, self.since_boot = time, since_boot
        for address, value in values.items():
            name, at, instance = address.partition("@")
            family, _, field = name.partition(".")
            reading = self._readings.get(family, {})
            # What has come since then is described soon.
            if at:
                reading = _object(reading.get(instance))
            if field in reading:
                reading[field] = value

    def copy(self) -> "Described":
        """Return one that stays as this is now."""
        # Only here: who asks once does without.
        from copy import deepcopy  # noqa: PLC0415

        return deepcopy(self)

    @property
    def families(self) -> list[str]:
        """The families that were observed, or should have been."""
        absent = (name for name in self._unavailable if "@" not in name and name not in self._readings)
        return [*self._readings, *absent]

    def single(self, family: str) -> Values:
        """Return the reading of a family that has only one; empty where there is none."""
        return self._readings.get(family, {})

    def instances(self, family: str) -> dict[str, Values]:
        """Return the readings of a family by instance."""
        content = self._readings.get(family, {})
        return {name: values for name, values in content.items() if isinstance(values, dict)}

    def problem(self, family: str, instance: str = "") -> str:
        """Return what is wrong with a family or one of its instances, and what to do; "" where nothing is."""
        found = self._unavailable.get(f"{family}@{instance}" if instance else family)
        if not isinstance(found, dict):
            return ""
        reason = text(found, "reason") or text(found, "problem") or "for no reason that is known"
        remedy = text(found, "remedy")
        return f"{reason}; {remedy}" if remedy else reason

    def problems(self, family: str) -> list[str]:
        """Return the instances of a family that are unavailable."""
        prefix = f"{family}@"
        return [name.removeprefix(prefix) for name in self._unavailable if name.startswith(prefix)]

    def unsupported(self, family: str) -> bool:
        """Tell whether this machine does not have what a family observes."""
        return text(_object(self._unavailable.get(family)), "problem") == protocol.UNSUPPORTED


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def sensor_name(instance: str, values: Values) -> str:
    """Return what a sensor is called: its driver and its label, without saying the same twice."""
    driver, label = text(values, "driver"), text(values, "label")
    return " ".join(filter(None, (driver, label if label != driver else ""))) or instance
